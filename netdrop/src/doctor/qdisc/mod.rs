//! Queueing disciplines and transmission.

mod drops;
mod pacing;
mod remedies;
mod requeues;
mod standing;
mod tx_timeout;

use std::collections::BTreeMap;
use std::fs;

use super::{Check, Part, Place, Unread};
use crate::counters::qdiscs::{self, Qdiscs, Queue, QueueCounts, ROOT};

pub const CHECKS: &[Check] =
    &[drops::CHECK, requeues::CHECK, standing::CHECK, tx_timeout::CHECK, pacing::CHECK];

impl Part for Qdiscs {
    const FROM: &'static str = "rtnetlink (tc -s qdisc, tc -s class)";

    fn read(_: &Place) -> Result<Self, Unread> {
        qdiscs::read().map_err(|error| Unread::io(Self::FROM, &error))
    }
}

impl Qdiscs {
    /// A device's name.
    fn device(&self, queue: &Queue) -> &str {
        self.devices.iter().find(|device| device.index == queue.device).map_or("?", |device| &device.name)
    }

    /// How many packets its plain queues may hold.
    fn queue_length(&self, queue: &Queue) -> u32 {
        self.devices
            .iter()
            .find(|device| device.index == queue.device)
            .map_or(0, |device| device.queue_length)
    }

    /// What one of a later reading had counted here: nothing where it is new, or was made anew under its old name, and has sent less since.
    fn counted(&self, queue: &Queue, is_class: bool) -> QueueCounts {
        let was = self.same(queue, is_class).map(|one| one.counts).unwrap_or_default();
        if queue.counts.bytes < was.bytes { QueueCounts::default() } else { was }
    }

    /// What is called the same here, of another reading.
    fn same<'a>(&'a self, queue: &Queue, is_class: bool) -> Option<&'a Queue> {
        let places = self.places.get_or_init(|| {
            let keys = |among: &[Queue], is_class| {
                among.iter().map(|one| one.key(is_class)).zip(0..).collect::<Vec<_>>()
            };
            keys(&self.qdiscs, false).into_iter().chain(keys(&self.classes, true)).collect()
        });
        let among = if is_class { &self.classes } else { &self.qdiscs };
        among.get(*places.get(&queue.key(is_class))?).filter(|one| one.kind == queue.kind)
    }
}

/// `1:10`, `8001:`.
fn handle(number: u32) -> String {
    match (number >> 16, number & 0xffff) {
        (major, 0) => format!("{major:x}:"),
        (major, minor) => format!("{major:x}:{minor:x}"),
    }
}

/// `eth0: tbf 8001:`, `eth0: class 1:10 of htb`.
fn named(device: &str, queue: &Queue, is_class: bool) -> String {
    let Queue { kind, handle: number, parent, .. } = queue;
    match (is_class, *number, *parent) {
        (true, ..) => format!("{device}: class {} of {kind}", handle(*number)),
        (false, 0, ROOT) => format!("{device}: {kind}"),
        (false, 0, parent) => format!("{device}: {kind} of {}", handle(parent)),
        _ => format!("{device}: {kind} {}", handle(*number)),
    }
}

/// How often a queue of a device stood still for so long that the device was reset (`dev_watchdog`, `net/sched/sch_generic.c`): by
/// `eth0 tx-3`. The devices are those of the namespace that `/sys` was mounted in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxTimeouts(pub BTreeMap<String, u64>);

impl Part for TxTimeouts {
    const FROM: &'static str = "/sys/class/net/*/queues/tx-*/tx_timeout";

    fn read(place: &Place) -> Result<Self, Unread> {
        const FOLDER: &str = "/sys/class/net";
        let devices = fs::read_dir(place.path(FOLDER)).map_err(|error| Unread::io(FOLDER, &error))?;
        let mut timeouts = BTreeMap::new();
        for device in devices.flatten() {
            for queue in fs::read_dir(device.path().join("queues")).into_iter().flatten().flatten() {
                let text = fs::read_to_string(queue.path().join("tx_timeout")).unwrap_or_default();
                if let Ok(count) = text.trim().parse() {
                    let [device, queue] = [device.file_name(), queue.file_name()];
                    timeouts.insert(format!("{} {}", device.display(), queue.display()), count);
                }
            }
        }
        Ok(Self(timeouts))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::counters::qdiscs::QueueDevice;
    use crate::made_up;

    /// A queueing discipline of eth0 for the tests of checks.
    pub fn queue(kind: &str, handle: u32, parent: u32, counts: QueueCounts) -> Queue {
        Queue { device: 2, kind: kind.into(), handle, parent, counts, ..Queue::default() }
    }

    pub fn qdiscs(qdiscs: impl IntoIterator<Item = Queue>) -> Qdiscs {
        let eth0 = QueueDevice { index: 2, name: "eth0".into(), queue_length: 1000 };
        Qdiscs { devices: vec![eth0], qdiscs: qdiscs.into_iter().collect(), ..Qdiscs::default() }
    }

    #[test]
    fn a_queue_is_found_again() {
        let of = |kind: &str, handle, packets| {
            queue(kind, handle, ROOT, QueueCounts { packets, ..QueueCounts::default() })
        };
        let mut before = qdiscs([of("htb", 0x1_0000, 1), of("fq", 0, 2)]);
        before.classes = vec![of("htb", 0x1_0010, 3), of("htb", 0, 4)];
        let same = |one: &Queue, is_class| before.same(one, is_class).map(|one| one.counts.packets);
        assert_eq!(same(&of("htb", 0x1_0000, 9), false), Some(1));
        assert_eq!((same(&of("fq", 0, 9), false), same(&of("htb", 0, 9), true)), (Some(2), Some(4)));
        assert_eq!(same(&of("htb", 0x1_0010, 9), true), Some(3));
        assert_eq!((same(&of("pfifo", 0, 9), false), same(&of("htb", 0x1_0010, 9), false)), (None, None));
    }

    #[test]
    fn queues_are_named_as_tc_does() {
        let told = |kind: &str, number, parent, is_class| {
            named("eth0", &queue(kind, number, parent, QueueCounts::default()), is_class)
        };
        assert_eq!(told("pfifo_fast", 0, ROOT, false), "eth0: pfifo_fast");
        assert_eq!(told("fq_codel", 0, 3, false), "eth0: fq_codel of 0:3");
        assert_eq!(told("tbf", 0x8001_0000, ROOT, false), "eth0: tbf 8001:");
        assert_eq!(told("htb", 0x0001_0010, ROOT, true), "eth0: class 1:10 of htb");
    }

    #[test]
    fn timeouts_are_read_by_queue() {
        let root = tempfile::tempdir().unwrap();
        for (queue, text) in [("tx-0", "3\n"), ("tx-1", "x"), ("rx-0", "")] {
            let name = if queue == "rx-0" { "rps_cpus" } else { "tx_timeout" };
            made_up::file(root.path(), &format!("sys/class/net/eth0/queues/{queue}/{name}"), text);
        }
        let timeouts = TxTimeouts::read(&Place::new(root.path())).unwrap();
        assert_eq!(timeouts, TxTimeouts([("eth0 tx-0".to_owned(), 3)].into()));
    }
}
