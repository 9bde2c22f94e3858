//! Packets of each receive queue, as drivers tell them to the kernel: the queues' statistics of generic netlink's family `netdev`
//! (`net/core/netdev-genl.c`; since 6.10). From then on `virtio_net` tells them nowhere else.

use std::collections::BTreeMap;
use std::io;

use super::generic::{HEADER, dump, family};
use super::netlink::{attribute, encode, u32_at, u64_at};

/// `NETDEV_CMD_QSTATS_GET`, `NETDEV_A_QSTATS_*`, `NETDEV_QUEUE_TYPE_RX`, `NETDEV_QSTATS_SCOPE_QUEUE` (`include/uapi/linux/netdev.h`).
const GET: u8 = 12;
const INDEX: u16 = 1;
const TYPE: u16 = 2;
const QUEUE: u16 = 3;
const SCOPE: u16 = 4;
const PACKETS: u16 = 8;
const RECEIVE: u32 = 0;
const OF_QUEUES: u32 = 1;

/// By the device's index and the queue's number.
pub type QueuePackets = BTreeMap<u32, BTreeMap<u32, u64>>;

/// Those of all devices of the caller's namespace whose drivers tell them.
///
/// # Errors
/// When the kernel doesn't answer, or has no such question.
pub fn read() -> io::Result<QueuePackets> {
    let mut devices = QueuePackets::new();
    let Some(family) = family("netdev")? else { return Ok(devices) };
    for answer in dump(family, GET, &encode(SCOPE, &OF_QUEUES.to_ne_bytes()))? {
        if let Some((index, queue, packets)) = parse(&answer) {
            devices.entry(index).or_default().insert(queue, packets);
        }
    }
    Ok(devices)
}

/// Device, queue and packets of one answer; nothing of a queue that sends, or where it isn't whole.
pub fn parse(answer: &[u8]) -> Option<(u32, u32, u64)> {
    let attributes = answer.get(HEADER..)?;
    let number = |name| u32_at(attribute(attributes, name)?, 0);
    let packets = attribute(attributes, PACKETS).filter(|_| number(TYPE) == Some(RECEIVE))?;
    // What fits 32 bits has no more (`nla_put_uint`).
    let packets = u64_at(packets, 0).or_else(|| u32_at(packets, 0).map(u64::from))?;
    Some((number(INDEX)?, number(QUEUE)?, packets))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(kind: u32, packets: &[u8]) -> Vec<u8> {
        let number = |name, value: u32| encode(name, &value.to_ne_bytes());
        let head = vec![GET, 1, 0, 0];
        [head, number(INDEX, 4), number(TYPE, kind), number(QUEUE, 1), encode(PACKETS, packets)].concat()
    }

    #[test]
    fn queues_that_receive() {
        let (small, large) = (20_406_u32.to_ne_bytes(), (1_u64 << 40).to_ne_bytes());
        assert_eq!(parse(&answer(RECEIVE, &small)), Some((4, 1, 20_406)));
        assert_eq!(parse(&answer(RECEIVE, &large)), Some((4, 1, 1 << 40)));
        assert_eq!(parse(&answer(RECEIVE + 1, &small)), None);
        assert_eq!(parse(&answer(RECEIVE, &small)[..30]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            let _ = parse(&bytes);
        }
    }
}
