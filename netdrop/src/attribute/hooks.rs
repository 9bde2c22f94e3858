//! Which filters and eBPF programs at a device dropped: tc, tcx, XDP.

use std::collections::BTreeMap;

use super::settle::{Growth, Suspect, settle};
use super::{Cause, Window};
use crate::counters::classifiers::{Action, Classifier};
use crate::counters::links::XdpMode;
use crate::counters::losses::{LossKind, loss};
use crate::counters::snapshot::DeviceCounters;
use crate::model::{Attribution, BpfProgram, Certainty, Direction, RuleHit, RuleSystem, RuleVerdict};
use crate::units::thousands;

/// Actions that can drop; the others (mirred, vlan, …) drop only what they can't handle, and count that too.
const DROPPING: [&str; 3] = ["gact", "police", "bpf"];

/// A place where programs and filters hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Classifier(Direction),
    Xdp,
}

/// Adds filters and programs, and notes for what they don't explain or nobody counts.
pub fn attribute(window: &Window<'_>, attribution: &mut Attribution) {
    let mut drops: BTreeMap<(u32, Place), u64> = BTreeMap::new();
    for one in window.drops {
        let place = match one.cause {
            Cause::Classifier(direction) => Place::Classifier(direction),
            Cause::Xdp => Place::Xdp,
            Cause::Netfilter | Cause::Other => continue,
        };
        *drops.entry((one.ifindex, place)).or_default() += one.packets;
    }
    for ((ifindex, place), drops) in drops {
        let settled = settle(drops, suspects(window, ifindex, place, drops));
        if settled.unexplained > 0 {
            let (drops, device) = (thousands(settled.unexplained), window.device(ifindex));
            let name = device.name.unwrap_or_else(|| format!("if{ifindex}"));
            let what = match place {
                Place::Classifier(Direction::Ingress) => "by tc on ingress fit no filter that is there now",
                Place::Classifier(Direction::Egress) => "by tc on egress fit no filter that is there now",
                Place::Xdp => "by XDP: no program is attached any more",
            };
            attribution.notes.push(format!("{name}: {drops} drops {what}."));
        }
        attribution.rules.extend(settled.hits);
    }
    attribution.notes.extend(window.after.devices.iter().filter_map(|device| uncounted_xdp(window, device)));
}

fn suspects(window: &Window<'_>, ifindex: u32, place: Place, possible: u64) -> Vec<Suspect> {
    let unknown = |hit| Suspect { hit, possible, growth: Growth::Unknown };
    match place {
        Place::Xdp => {
            let devices = window.after.devices.iter().filter(|device| device.link.index == ifindex);
            let programs = devices.flat_map(|device| &device.link.xdp);
            programs
                .map(|xdp| {
                    let text = format!("XDP program, {} mode", xdp.mode.as_str());
                    let program = Some(window.program(xdp.id));
                    unknown(hit(window, RuleSystem::Xdp, (ifindex, Direction::Ingress), program, text))
                })
                .collect()
        }
        Place::Classifier(direction) => {
            let here = |index, way| index == ifindex && way == direction;
            let tcx = window.after.tcx.iter().filter(|one| here(one.ifindex, one.direction)).map(|one| {
                let program = Some(window.program(one.id));
                unknown(hit(window, RuleSystem::Tcx, (ifindex, direction), program, "tcx program".into()))
            });
            let filters = window.after.classifiers.iter().filter(|one| here(one.ifindex, one.direction));
            let filters = filters.filter_map(|filter| {
                let growth = growth(filter, before(window, filter))?;
                Some(Suspect { hit: filter_hit(window, filter), possible, growth })
            });
            tcx.chain(filters).collect()
        }
    }
}

/// The same filter at the start.
fn before<'a>(window: &Window<'a>, filter: &Classifier) -> Option<&'a Classifier> {
    let same = |one: &&Classifier| {
        (one.ifindex, one.direction, one.chain, one.priority, one.handle, &one.kind)
            == (filter.ifindex, filter.direction, filter.chain, filter.priority, filter.handle, &filter.kind)
    };
    window.before.classifiers.iter().find(same)
}

/// What its actions dropped; nothing for a filter that can't drop. A program that decides by itself doesn't count.
fn growth(filter: &Classifier, before: Option<&Classifier>) -> Option<Growth> {
    let dropping = || filter.actions.iter().any(|action| DROPPING.contains(&action.kind.as_str()));
    if filter.is_direct || filter.kind == "bpf" && filter.actions.is_empty() {
        return Some(Growth::Unknown);
    }
    if filter.actions.is_empty() {
        return None;
    }
    if filter.actions.iter().any(|action| action.drops.is_none()) {
        return dropping().then_some(Growth::Unknown);
    }
    let earlier = before.map_or(&[][..], |filter| &filter.actions);
    let grown = filter.actions.iter().enumerate().map(|(index, action)| grown(action, earlier.get(index)));
    Some(Growth::Dropped(grown.sum(), None))
}

/// The kernel counts in 32 bits, which may have turned over once.
fn grown(action: &Action, before: Option<&Action>) -> u64 {
    let earlier = before.filter(|before| before.kind == action.kind).and_then(|before| before.drops);
    u64::from(action.drops.unwrap_or(0).wrapping_sub(earlier.unwrap_or(0)))
}

fn filter_hit(window: &Window<'_>, filter: &Classifier) -> RuleHit {
    let actions: Vec<&str> = filter.actions.iter().map(|action| action.kind.as_str()).collect();
    let mut words = vec![format!("filter {} pref {}", filter.kind, filter.priority)];
    words.extend(filter.name.clone());
    words.extend(filter.is_direct.then(|| "direct-action".into()));
    words.extend((!actions.is_empty()).then(|| format!("action {}", actions.join(", "))));
    let program = filter.program.map(|id| window.program(id));
    let place = (filter.ifindex, filter.direction);
    RuleHit {
        chain: Some(filter.chain.to_string()),
        handle: Some(u64::from(filter.handle)),
        verdict: if filter.is_direct { RuleVerdict::Program } else { RuleVerdict::Drop },
        ..hit(window, RuleSystem::Tc, place, program, words.join(" "))
    }
}

fn hit(
    window: &Window<'_>,
    system: RuleSystem,
    (ifindex, direction): (u32, Direction),
    program: Option<BpfProgram>,
    text: String,
) -> RuleHit {
    RuleHit {
        system,
        netns: Some(window.netns.clone()),
        family: None,
        table: None,
        chain: None,
        hook: None,
        handle: None,
        position: None,
        device: Some(window.device(ifindex)),
        direction: Some(direction),
        program,
        text,
        verdict: RuleVerdict::Program,
        packets: None,
        bytes: None,
        drops: 0,
        certainty: Certainty::Candidate,
    }
}

/// A program in a driver may drop what no skb was made for, and this driver doesn't count it.
fn uncounted_xdp(window: &Window<'_>, device: &DeviceCounters) -> Option<String> {
    let program = device.link.xdp.iter().find(|xdp| xdp.mode != XdpMode::Generic)?;
    let counts =
        device.driver.iter().any(|(name, _)| loss(name).is_some_and(|loss| loss.kind == LossKind::Xdp));
    let name = window.program(program.id).name.map_or(String::new(), |name| format!(" ({name})"));
    (!counts).then(|| {
        let (device, id) = (&device.link.name, program.id);
        format!(
            "{device} runs XDP program {id}{name}, and its driver doesn't count what XDP drops: such packets are in no \
             number here, but perhaps in the program's own maps (bpftool-map(8))."
        )
    })
}
