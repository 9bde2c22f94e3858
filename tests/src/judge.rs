//! Whether what a watcher saw is what a scenario expects.

use anyhow::{Result, bail};
use serde_json::Value;

use crate::lab::{Lab, Namespace};
use crate::report::{Report, Row};
use crate::scenario::{At, Expect, KernelTypes};

/// How much of a drop the watcher can see.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// netdrop: all that is expected.
    Full,
    /// bpftrace: neither names of protocols nor details.
    Counts,
    /// tracefs: site and reason alone.
    Sites,
}

/// Compares a report with what was expected.
pub struct Judge<'a> {
    expect: &'a Expect,
    /// What this kernel gives; none where it gives no reasons.
    reason: Option<&'static str>,
    /// The namespace; none where the packet has none, and only the function can tell.
    inode: Option<u64>,
    devices: Vec<(u32, String)>,
    kernel_names_receiver: bool,
    sight: Sight,
}

impl<'a> Judge<'a> {
    pub fn new(lab: &Lab, expect: &'a Expect, sight: Sight) -> Result<Self> {
        let namespace = match expect.at {
            At::Receiver => Some(&lab.receiver),
            At::Sender => Some(lab.from()),
            At::Nowhere => None,
        };
        let kernel = KernelTypes::read()?;
        Ok(Self {
            expect,
            // Others than netdrop see the core's reason alone.
            reason: expect.reason(|reason| {
                kernel.has_reason(reason) || (sight == Sight::Full && kernel.has_qdisc_reason(reason))
            }),
            inode: namespace.map(Namespace::inode),
            devices: namespace.map_or(Ok(Vec::new()), Namespace::devices)?,
            kernel_names_receiver: kernel.has("rx_sk"),
            sight,
        })
    }

    pub fn judge(&self, report: &Report) -> Result<()> {
        let here = self.here(report);
        let (wanted, other): (Vec<&Row>, Vec<&Row>) = here.iter().partition(|row| self.is_wanted(row));
        let count: u64 = wanted.iter().map(|row| row.count).sum();
        // Without a namespace, what else happened may be another's: the sender drops resets at the same site.
        let exact = match self.sight {
            Sight::Sites => count >= self.expect.count,
            Sight::Full | Sight::Counts => count == self.expect.count && other.is_empty(),
        };
        if !exact {
            let seen: Vec<String> = here.iter().map(|row| format!("\n          seen {row}")).collect();
            let seen = if seen.is_empty() { "\n          seen nothing".into() } else { seen.concat() };
            bail!("{}{seen}\n          {:?}", self.wanted_text(), report.accounts);
        }
        if self.sight != Sight::Full {
            return Ok(());
        }
        self.judge_details(&report.drops)
    }

    /// Whether as much has been seen as is expected, in rows and, where there are some, in details.
    pub fn is_all_here(&self, so_far: &Report) -> bool {
        let counted = so_far.count(|row| self.is_here(row));
        counted >= self.expect.count
            && (self.sight != Sight::Full || self.weight(&so_far.drops) >= self.expect.count)
    }

    fn weight(&self, drops: &[Value]) -> u64 {
        let rows = drops.iter().filter_map(|drop| Row::of_drop(drop).ok());
        rows.filter(|row| self.is_here(row)).map(|row| row.count).sum()
    }

    fn judge_details(&self, drops: &[Value]) -> Result<()> {
        let here: Vec<&Value> =
            drops.iter().filter(|drop| Row::of_drop(drop).is_ok_and(|row| self.is_here(&row))).collect();
        let weight: u64 = here.iter().filter_map(|drop| drop["weight"].as_u64()).sum();
        if weight != self.expect.count {
            bail!("{} drop lines that weigh {weight}, not {}", here.len(), self.expect.count);
        }
        for drop in here {
            for (pointer, wanted) in self.expect.packet {
                let found = drop.pointer(&format!("/packet{pointer}")).unwrap_or(&Value::Null);
                let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                if text != *wanted {
                    bail!("a drop line has {text} at /packet{pointer}, not {wanted}: {drop}");
                }
            }
        }
        Ok(())
    }

    fn here(&self, report: &Report) -> Vec<Row> {
        let rows = report.rows.iter().filter(|row| self.is_here(row));
        rows.map(|row| self.with_device_name(row.clone())).collect()
    }

    fn is_here(&self, row: &Row) -> bool {
        if self.sight == Sight::Sites {
            return true;
        }
        !self.is_handled_message(row)
            && !self.is_listener_report(row)
            && (row.inode() == self.inode || self.has_lost_its_namespace(row))
            && (self.inode.is_some() || self.expect.functions.contains(&row.plain_function()))
    }

    /// Until 6.11 told the receiving socket, a packet that its socket had taken off device and route led nowhere.
    fn has_lost_its_namespace(&self, row: &Row) -> bool {
        row.inode().is_none()
            && !self.kernel_names_receiver
            && self.expect.functions.contains(&row.plain_function())
            && row.protocol.as_deref() == Some(self.expect.protocol)
    }

    /// Until 6.3, `icmpv6_rcv` freed each message as dropped, also those that it had handled (net/ipv6/icmp.c).
    fn is_handled_message(&self, row: &Row) -> bool {
        row.reason.as_deref().is_none_or(|reason| reason == "NOT_SPECIFIED")
            && row.plain_function() == "icmpv6_rcv"
            && !self.expect.functions.contains(&"icmpv6_rcv")
    }

    /// Who joins a group (also for an address of its own) tells the routers, and nobody here is one: that report is dropped
    /// (RFC 3810; `ip6_mc_input` in `net/ipv6/ip6_input.c`). On a slow machine its work comes late, when others watch.
    fn is_listener_report(&self, row: &Row) -> bool {
        // Other watchers tell the link-layer protocol alone.
        row.plain_function() == "ip6_mc_input"
            && row.protocol.as_deref().is_none_or(|protocol| ["icmpv6", "0x86dd"].contains(&protocol))
            && !self.expect.functions.contains(&"ip6_mc_input")
    }

    fn is_wanted(&self, row: &Row) -> bool {
        let expect = self.expect;
        expect.functions.contains(&row.plain_function())
            && self.is_its_reason(row.reason.as_deref())
            && (self.sight == Sight::Sites
                || self.has_lost_its_namespace(row)
                || row.device_name().unwrap_or("") == expect.device)
            && (self.sight != Sight::Full
                || expect.protocol.is_empty()
                || row.protocol.as_deref() == Some(expect.protocol))
    }

    /// Other watchers than netdrop don't know the names of all reasons.
    fn is_its_reason(&self, reason: Option<&str>) -> bool {
        reason == self.reason || (reason.is_none() && self.sight != Sight::Full)
    }

    pub fn with_device_name(&self, mut row: Row) -> Row {
        if self.sight == Sight::Counts
            && let Some(device) = &mut row.device
        {
            let known = self.devices.iter().find(|(index, _)| *index == device.index);
            device.name = known.map(|(_, name)| name.clone());
        }
        row
    }

    fn wanted_text(&self) -> String {
        format!(
            "\n          want {:>7} {} {} dev={} netns={} proto={}",
            self.expect.count,
            self.reason.unwrap_or("-"),
            self.expect.functions.join("|"),
            self.expect.device,
            self.inode.map_or("-".into(), |inode| inode.to_string()),
            self.expect.protocol
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Device, Netns};

    const EXPECT: Expect = Expect {
        count: 5,
        reasons: &["NO_SOCKET"],
        since: "",
        functions: &["udp_rcv"],
        at: At::Receiver,
        device: "r0",
        protocol: "udp",
        packet: &[("/destination/port", "9")],
    };

    fn row(count: u64) -> Row {
        Row {
            count,
            reason: Some("NO_SOCKET".into()),
            function: Some("udp_rcv.isra.0".into()),
            address: None,
            device: Some(Device { index: 2, name: Some("r0".into()) }),
            netns: Some(Netns { inode: 7 }),
            protocol: Some("udp".into()),
            class: None,
        }
    }

    fn drop_line(weight: u64, port: u16) -> Value {
        serde_json::json!({
            "weight": weight, "netns": {"inode": 7}, "packet": {"destination": {"port": port}},
        })
    }

    fn judge(rows: Vec<Row>, drops: Vec<Value>) -> Result<()> {
        judge_on(Some("NO_SOCKET"), rows, drops)
    }

    fn judge_on(reason: Option<&'static str>, rows: Vec<Row>, drops: Vec<Value>) -> Result<()> {
        let judge = Judge {
            expect: &EXPECT,
            reason,
            inode: Some(7),
            devices: Vec::new(),
            kernel_names_receiver: true,
            sight: Sight::Full,
        };
        judge.judge(&Report { rows, drops, accounts: None })
    }

    #[test]
    fn exactly_the_expected_passes() {
        judge(vec![row(5)], vec![drop_line(1, 9), drop_line(4, 9)]).expect("as expected");
        judge_on(None, vec![Row { reason: None, ..row(5) }], vec![drop_line(5, 9)])
            .expect("a kernel without reasons");
        let elsewhere = Row { netns: Some(Netns { inode: 8 }), ..row(1) };
        judge(vec![row(5), elsewhere], vec![drop_line(5, 9)]).expect("another namespace is no matter");
    }

    #[test]
    fn anything_else_fails() {
        let good = || vec![drop_line(5, 9)];
        for (what, rows, drops) in [
            ("nothing", vec![], vec![]),
            ("one too few", vec![row(4)], good()),
            ("one too many", vec![row(6)], good()),
            ("no reason", vec![Row { reason: None, ..row(5) }], good()),
            ("another reason", vec![Row { reason: Some("UDP_CSUM".into()), ..row(5) }], good()),
            ("another function", vec![Row { function: Some("ip_rcv".into()), ..row(5) }], good()),
            ("no device", vec![Row { device: None, ..row(5) }], good()),
            ("another protocol", vec![Row { protocol: Some("tcp".into()), ..row(5) }], good()),
            ("no namespace", vec![Row { netns: None, ..row(5) }], good()),
            ("a row beside it", vec![row(5), Row { reason: Some("UDP_CSUM".into()), ..row(1) }], good()),
            ("no details", vec![row(5)], vec![]),
            ("details of another packet", vec![row(5)], vec![drop_line(5, 10)]),
            ("details that weigh too much", vec![row(5)], vec![drop_line(6, 9)]),
        ] {
            assert!(judge(rows, drops).is_err(), "{what} passed");
        }
    }

    #[test]
    fn a_kernel_gives_the_newest_reason_that_it_knows() {
        let expect = Expect { reasons: &["NEW", "OLD", "NOT_SPECIFIED"], ..EXPECT };
        let later = Expect { since: "LATER", reasons: &["NEW", "OLD", "NOT_SPECIFIED"], ..EXPECT };
        for (known, reason, reason_if_later) in [
            (["NEW", "OLD", "NOT_SPECIFIED", "LATER"].as_slice(), Some("NEW"), Some("NEW")),
            (&["NEW", "OLD", "NOT_SPECIFIED"], Some("NEW"), Some("OLD")),
            (&["OLD", "NOT_SPECIFIED"], Some("OLD"), Some("OLD")),
            (&["NEW", "NOT_SPECIFIED"], Some("NEW"), Some("NOT_SPECIFIED")),
            (&["NOT_SPECIFIED"], Some("NOT_SPECIFIED"), Some("NOT_SPECIFIED")),
            (&[], None, None),
        ] {
            assert_eq!(expect.reason(|reason| known.contains(&reason)), reason, "{known:?}");
            assert_eq!(later.reason(|reason| known.contains(&reason)), reason_if_later, "{known:?}, later");
        }
    }
}
