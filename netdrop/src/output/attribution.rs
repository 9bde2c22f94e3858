//! What other counters say, for people: where netfilter dropped, the rules behind the drops, what devices counted by themselves, and what couldn't
//! be told. Two lines each: number and place, then the words.

use super::columns::cut;
use super::words::{DeviceName, NetnsName, Plain};
use crate::model::{
    Attribution, BpfProgram, Certainty, DeviceCount, Netns, RuleHit, RuleVerdict, VerdictCount,
};
use crate::units::thousands;

/// Width of the numbers.
const NUMBER: usize = 11;
/// More that could be meant are told by their number.
const CANDIDATES: usize = 10;

/// The lines, each at most `width` wide; none where there is nothing to tell.
pub fn lines(attribution: &Attribution, width: usize) -> Vec<String> {
    let Attribution { rules, verdicts, devices, notes } = attribution;
    let mut lines = Vec::new();
    if !verdicts.is_empty() {
        lines.extend([String::new(), "Dropped by netfilter:".into()]);
        lines.extend(verdicts.iter().map(verdict));
    }
    if !rules.is_empty() {
        lines.extend([String::new(), "Dropped by rules:".into()]);
        let candidates = rules.iter().filter(|hit| hit.certainty == Certainty::Candidate).count();
        let mut left = CANDIDATES;
        for hit in rules {
            if hit.certainty == Certainty::Candidate {
                if left == 0 {
                    continue;
                }
                left -= 1;
            }
            lines.extend(rule(hit));
        }
        if candidates > CANDIDATES {
            lines.push(entry("", &format!("… and {} more that could be meant", candidates - CANDIDATES)));
        }
    }
    if !devices.is_empty() {
        lines.extend([String::new(), "Counted by devices:".into()]);
        lines.extend(devices.iter().flat_map(device));
    }
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes.iter().map(|note| Plain(note).to_string()));
    }
    lines.iter().map(|line| cut(line, width)).collect()
}

fn entry(number: &str, text: &str) -> String {
    format!("{number:>NUMBER$}  {text}")
}

fn rule(hit: &RuleHit) -> [String; 2] {
    let number = match hit.certainty {
        Certainty::Exact | Certainty::Part => thousands(hit.packets.unwrap_or(0)),
        Certainty::Only => "the rest".into(),
        Certainty::Candidate => "maybe".into(),
    };
    let counted = match (hit.certainty, hit.packets) {
        (Certainty::Exact | Certainty::Part, _) => String::new(),
        (_, Some(packets)) => format!("{} came by: ", thousands(packets)),
        (_, None) => "no counter: ".into(),
    };
    [entry(&number, &place(hit)), entry("", &format!("{counted}{}", Plain(&hit.text)))]
}

/// `~1,234  nftables inet input, netns web`
fn verdict(count: &VerdictCount) -> String {
    let about = if count.estimated { "~" } else { "" };
    let place = match count.verdict {
        verdict if verdict.is_unknown() => "no call chain tells where".into(),
        verdict => verdict.to_string(),
    };
    entry(&(about.to_owned() + &thousands(count.packets)), &(place + &netns(count.netns.as_ref())))
}

/// `nft inet fw input, handle 7, hook input, netns web`
fn place(hit: &RuleHit) -> String {
    let mut words = vec![hit.system.as_str().to_owned()];
    words.extend(hit.device.as_ref().map(|device| DeviceName(device).to_string()));
    words.extend(hit.direction.map(|direction| direction.as_str().to_owned()));
    let of_table = [&hit.family, &hit.table].into_iter().flatten();
    let chain = hit.chain.as_ref().filter(|_| hit.table.is_some());
    words.extend(of_table.chain(chain).map(|name| Plain(name).to_string()));
    let mut parts = vec![words.join(" ")];
    // tc's chains are numbers, and 0 unless someone wanted others.
    let number = hit.chain.as_ref().filter(|chain| hit.table.is_none() && *chain != "0");
    parts.extend(number.map(|chain| format!("chain {}", Plain(chain))));
    parts.extend(which(hit));
    parts.extend(hit.hook.as_ref().map(|hook| format!("hook {}", Plain(hook))));
    parts.join(", ") + &program(hit.program.as_ref()) + &netns(hit.netns.as_ref())
}

/// Which of its chain.
fn which(hit: &RuleHit) -> Option<String> {
    match (hit.verdict, hit.handle, hit.position) {
        (RuleVerdict::Policy, ..) => Some("policy".into()),
        (_, Some(handle), _) if hit.table.is_none() => Some(format!("handle {handle:#x}")),
        (_, Some(handle), _) => Some(format!("handle {handle}")),
        (_, None, Some(position)) => Some(format!("rule {position}")),
        _ => None,
    }
}

fn device(count: &DeviceCount) -> [String; 2] {
    let name = format!("{} {}", DeviceName(&count.device), Plain(&count.counter));
    let place = name + &program(count.program.as_ref()) + &netns(count.netns.as_ref());
    let seen = count.also_seen.filter(|seen| *seen > 0);
    let place = place + &seen.map_or(String::new(), |seen| format!(", ≤ {} above", thousands(seen)));
    [entry(&thousands(count.count), &place), entry("", &Plain(&count.meaning).to_string())]
}

fn program(program: Option<&BpfProgram>) -> String {
    match program {
        Some(BpfProgram { id, name: Some(name) }) => format!(", program {id} {}", Plain(name)),
        Some(BpfProgram { id, name: None }) => format!(", program {id}"),
        None => String::new(),
    }
}

/// Nothing for the host's own.
fn netns(netns: Option<&Netns>) -> String {
    let other = netns.filter(|netns| netns.name.as_deref() != Some("host"));
    other.map_or(String::new(), |netns| format!(", netns {}", NetnsName(netns)))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples;
    use super::*;

    #[test]
    fn in_80_columns() {
        let lines = lines(&samples::attribution(), 80);
        assert_snapshot!(lines.join("\n"), @r"

        Dropped by netfilter:
             12,350  nftables inet input, netns web
                ~20  forward
                  3  no call chain tells where

        Dropped by rules:
             12,345  nft inet fw input, handle 8, hook input, netns web
                     udp dport 9 counter drop
           the rest  nft inet fw input, policy, hook input, netns web
                     no counter: policy drop
           the rest  tc eth0 ingress, handle 0x1, program 42 fw
                     no counter: filter bpf pref 49152 fw.o:[tc] direct-action
              maybe  nft inet fw input, handle 8, hook input, netns web
                     7 came by: udp dport 9 counter drop

        Counted by devices:
                 81  eth0 rx_missed_errors
                     the device had no room: its ring was full before the CPU emptied it
              1,000  eth0 rx_queue_*_xdp_drops, program 42 fw, netns web, ≤ 400 above
                     dropped by the XDP program, in the driver

        `nft` is not installed: install nftables to have its rules named.
        ");
    }

    #[test]
    fn nothing_to_tell() {
        assert_eq!(lines(&Attribution::default(), 80), [""; 0]);
    }

    #[test]
    fn many_that_could_be_meant_are_counted() {
        let candidate =
            RuleHit { certainty: Certainty::Candidate, ..samples::attribution().rules[0].clone() };
        let attribution = Attribution { rules: vec![candidate; 13], ..Attribution::default() };
        let lines = lines(&attribution, 80);
        assert_eq!(lines.iter().filter(|line| line.contains("maybe")).count(), CANDIDATES);
        assert_eq!(lines.last().map(String::as_str), Some("             … and 3 more that could be meant"));
    }

    #[test]
    fn names_from_outside_move_no_cursor() {
        let mut attribution = samples::attribution();
        attribution.rules[0].text = "comment \"\u{1b}[2J\"".into();
        attribution.notes.push("\u{7}".into());
        assert!(lines(&attribution, 80).iter().all(|line| !line.contains(char::is_control)));
    }
}
