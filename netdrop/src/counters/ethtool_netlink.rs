//! What ethtool's netlink interface tells of devices: rings, channels, coalescing, flow control, link modes, and the standard groups of
//! statistics (`include/uapi/linux/ethtool_netlink.h`; the groups are there since 5.13). One dump a question, for all devices at once.

use std::collections::BTreeMap;
use std::io;

use super::generic::{HEADER, ask, dump_to_end, family};
use super::links;
use super::netlink::{attribute, attributes, encode, text, u32_at, u64_at};

/// `ETHTOOL_MSG_*_GET`.
const LINKMODES: u8 = 4;
const RINGS: u8 = 15;
const CHANNELS: u8 = 17;
const COALESCE: u8 = 19;
const PAUSE: u8 = 21;
const STATS: u8 = 32;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `ETHTOOL_A_HEADER_*`; the header is the first attribute of all answers but those of the statistics.
const HEADER_OF_ALL: u16 = 1;
const HEADER_OF_STATS: u16 = 2;
const DEVICE_INDEX: u16 = 1;
const FLAGS: u16 = 3;
/// `ETHTOOL_FLAG_STATS`.
const WITH_STATS: u32 = 4;
/// `ETHTOOL_A_STATS_*` and `ETHTOOL_A_STATS_GRP_*`.
const GROUPS: u16 = 3;
const GROUP: u16 = 4;
const GROUP_ID: u16 = 2;
const STATISTIC: u16 = 4;
const LENGTHS_RECEIVED: u16 = 5;
const LOWEST: u16 = 7;
const HIGHEST: u16 = 8;
const COUNT: u16 = 9;
/// `ETHTOOL_A_BITSET_*`, `ETHTOOL_A_BITSET_BITS_BIT`, `ETHTOOL_A_BITSET_BIT_*`.
const NO_MASK: u16 = 1;
const BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_INDEX: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;

/// The groups with their statistics, by number (`net/ethtool/stats.c`). Those that nothing is concluded from have no name here.
const STANDARD: [(&str, &[&str]); 4] = [
    ("eth-phy", &["SymbolErrorDuringCarrier"]),
    (
        "eth-mac",
        &[
            "",
            "SingleCollisionFrames",
            "MultipleCollisionFrames",
            "",
            "FrameCheckSequenceErrors",
            "AlignmentErrors",
            "",
            "",
            "LateCollisions",
            "FramesAbortedDueToXSColls",
            "",
            "CarrierSenseErrors",
            "",
            "",
            "",
            "",
            "",
            "",
            "BroadcastFramesReceivedOK",
            "InRangeLengthErrors",
            "OutOfRangeLengthField",
            "FrameTooLongErrors",
        ],
    ),
    ("eth-ctrl", &["", "", "UnsupportedOpcodesReceived"]),
    (
        "rmon",
        &["etherStatsUndersizePkts", "etherStatsOversizePkts", "etherStatsFragments", "etherStatsJabbers"],
    ),
];

/// What is known of one device. What its driver doesn't tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Its receive ring: packets that find room now, and at most.
    pub ring: Option<(u32, u32)>,
    /// Its transmit ring.
    pub transmit_ring: Option<(u32, u32)>,
    /// Its queues.
    pub channels: Option<Channels>,
    /// When it interrupts.
    pub coalesce: Option<Coalesce>,
    /// Flow control.
    pub pause: Option<Pause>,
    /// Speeds.
    pub modes: Option<Modes>,
    /// Statistics of the standard groups: group, name, value.
    pub standard: Vec<(&'static str, &'static str, u64)>,
    /// Frames received, by their length.
    pub lengths: Vec<Lengths>,
}

/// Queues, those that both receive and send, and those that only receive: now and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Channels {
    /// `combined`.
    pub combined: (u32, u32),
    /// `rx`.
    pub receive: (u32, u32),
}

/// When a device interrupts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// At the latest so many microseconds after a packet came.
    pub microseconds: Option<u32>,
    /// The device finds that time by itself.
    pub is_adaptive: Option<bool>,
}

/// Flow control (IEEE 802.3, annex 31B).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pause {
    /// It stops sending when it is asked to.
    pub heeds: bool,
    /// It asks the other end to stop.
    pub asks: bool,
    /// Pause frames received.
    pub received: Option<u64>,
    /// Pause frames sent.
    pub sent: Option<u64>,
}

/// Speeds in Mbit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Modes {
    /// Both ends agreed by negotiation.
    pub is_negotiated: bool,
    /// The speed now; absent while the link is down, and for most virtual devices.
    pub speed: Option<u32>,
    /// It sends or receives, never both at once.
    pub is_half: bool,
    /// The highest that it can.
    pub most: Option<u32>,
    /// The highest that it offers.
    pub offered: Option<u32>,
    /// The highest that the other end offers.
    pub peer: Option<u32>,
}

/// Frames of a range of lengths, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lengths {
    /// The shortest.
    pub from: u32,
    /// The longest.
    pub to: u32,
    /// How many.
    pub frames: u64,
}

/// All devices of the caller's namespace that tell something, by their index.
///
/// # Errors
/// When the kernel has no such interface (`CONFIG_ETHTOOL_NETLINK`), or doesn't answer. That it lacks one of the questions is no error.
pub fn read() -> io::Result<BTreeMap<u32, Told>> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no family");
    let family = family("ethtool")?.ok_or_else(missing)?;
    let mut devices = BTreeMap::new();
    for command in [LINKMODES, RINGS, CHANNELS, COALESCE, PAUSE, STATS] {
        // Older kernels lack a question.
        let Ok((answers, ended)) = dump_to_end(family, command, &request(command, None)) else { continue };
        for answer in &answers {
            add(&mut devices, command, answer);
        }
        // A device in trouble ends the list, whatever comes behind it (`ethnl_default_dumpit`, net/ethtool/netlink.c).
        if ended.error.is_some() {
            let told: Vec<u32> = answers.iter().filter_map(|answer| device(command, answer)).collect();
            for index in links::read()?.iter().map(|link| link.index).filter(|index| !told.contains(index)) {
                if let Ok(Some(answer)) = ask(family, command, &request(command, Some(index))) {
                    add(&mut devices, command, &answer);
                }
            }
        }
    }
    Ok(devices)
}

/// About one device, or all. The header has to be there for older kernels (`ethnl_parse_header_dev_get`, net/ethtool/netlink.c, 5.10).
fn request(command: u8, device: Option<u32>) -> Vec<u8> {
    let index = device.map(|index| encode(DEVICE_INDEX, &index.to_ne_bytes())).unwrap_or_default();
    match command {
        PAUSE => {
            let flags = encode(FLAGS, &WITH_STATS.to_ne_bytes());
            encode(HEADER_OF_ALL | NESTED, &[index, flags].concat())
        }
        STATS => {
            let bit = |index: u32| encode(BIT | NESTED, &encode(BIT_INDEX, &index.to_ne_bytes()));
            let bits: Vec<u8> = (0..4).flat_map(bit).collect();
            let header = encode(HEADER_OF_STATS | NESTED, &index);
            let groups =
                encode(GROUPS | NESTED, &[encode(NO_MASK, &[]), encode(BITS | NESTED, &bits)].concat());
            [header, groups].concat()
        }
        _ => encode(HEADER_OF_ALL | NESTED, &index),
    }
}

/// The index of the device that an answer tells of.
fn device(command: u8, answer: &[u8]) -> Option<u32> {
    let header = if command == STATS { HEADER_OF_STATS } else { HEADER_OF_ALL };
    number(attribute(answer.get(HEADER..)?, header)?, DEVICE_INDEX)
}

/// One answer to a question, in whatever form: what isn't whole is left out.
pub fn add(devices: &mut BTreeMap<u32, Told>, command: u8, answer: &[u8]) {
    let (Some(index), Some(answer)) = (device(command, answer), answer.get(HEADER..)) else { return };
    let told = devices.entry(index).or_default();
    let number = |name| number(answer, name);
    match command {
        LINKMODES => told.modes = Some(modes(answer)),
        RINGS => {
            told.ring = number(6).zip(number(2));
            told.transmit_ring = number(9).zip(number(5));
        }
        CHANNELS => {
            let pair = |now, most| (number(now).unwrap_or(0), number(most).unwrap_or(0));
            told.channels = Some(Channels { combined: pair(9, 5), receive: pair(6, 2) });
        }
        COALESCE => {
            let is_adaptive = flag(answer, 11);
            told.coalesce = Some(Coalesce { microseconds: number(2), is_adaptive });
        }
        PAUSE => told.pause = Some(pause(answer)),
        STATS => {
            for (kind, group) in attributes(answer) {
                if kind == GROUP {
                    statistics(told, group);
                }
            }
        }
        _ => {}
    }
}

fn number(bytes: &[u8], name: u16) -> Option<u32> {
    attribute(bytes, name).and_then(|value| u32_at(value, 0))
}

fn flag(bytes: &[u8], name: u16) -> Option<bool> {
    Some(*attribute(bytes, name)?.first()? != 0)
}

fn pause(answer: &[u8]) -> Pause {
    let frames = |name| u64_at(attribute(attribute(answer, 5)?, name)?, 0);
    Pause {
        heeds: flag(answer, 3).unwrap_or(false),
        asks: flag(answer, 4).unwrap_or(false),
        received: frames(3),
        sent: frames(2),
    }
}

fn modes(answer: &[u8]) -> Modes {
    let ours = || attribute(answer, 3).into_iter().flat_map(bits);
    let peers = attribute(answer, 4).into_iter().flat_map(bits);
    Modes {
        is_negotiated: flag(answer, 2).unwrap_or(false),
        speed: number(answer, 5).filter(|speed| *speed != 0 && *speed != u32::MAX),
        is_half: attribute(answer, 6).is_some_and(|duplex| duplex == [0]),
        most: ours().filter_map(|(name, _)| speed_of(&name)).max(),
        offered: ours().filter(|(_, is_set)| *is_set).filter_map(|(name, _)| speed_of(&name)).max(),
        peer: peers.filter_map(|(name, _)| speed_of(&name)).max(),
    }
}

/// The bits of a set by their names, and whether each is set; all are in a set without a mask.
fn bits(set: &[u8]) -> impl Iterator<Item = (String, bool)> {
    let all = attribute(set, NO_MASK).is_some();
    let bits = attributes(attribute(set, BITS).unwrap_or_default()).filter(|(kind, _)| *kind == BIT);
    bits.map(move |(_, bit)| {
        let name = text(attribute(bit, BIT_NAME).unwrap_or_default());
        (name, all || attribute(bit, BIT_VALUE).is_some())
    })
}

/// `1000baseT/Full` → 1000.
fn speed_of(mode: &str) -> Option<u32> {
    mode.split_once("base")?.0.parse().ok()
}

fn statistics(told: &mut Told, group: &[u8]) {
    let id = number(group, GROUP_ID).and_then(|id| usize::try_from(id).ok());
    let Some((group_name, names)) = id.and_then(|id| STANDARD.get(id)) else { return };
    for (kind, value) in attributes(group) {
        match kind {
            STATISTIC => {
                let Some((place, value)) = attributes(value).next() else { continue };
                let name = names.get(usize::from(place)).filter(|name| !name.is_empty());
                told.standard
                    .extend(name.zip(u64_at(value, 0)).map(|(name, value)| (*group_name, *name, value)));
            }
            LENGTHS_RECEIVED => {
                let frames = attribute(value, COUNT).and_then(|count| u64_at(count, 0));
                let range = number(value, LOWEST).zip(number(value, HIGHEST));
                told.lengths.extend(range.zip(frames).map(|((from, to), frames)| Lengths {
                    from,
                    to,
                    frames,
                }));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(command: u8, attributes: &[Vec<u8>]) -> Told {
        let index = encode(DEVICE_INDEX, &3_u32.to_ne_bytes());
        let header = encode(if command == STATS { HEADER_OF_STATS } else { HEADER_OF_ALL } | NESTED, &index);
        let answer = [vec![command, 1, 0, 0], header, attributes.concat()].concat();
        let mut devices = BTreeMap::new();
        add(&mut devices, command, &answer);
        devices.remove(&3).unwrap()
    }

    fn words(list: &[(u16, u32)]) -> Vec<Vec<u8>> {
        list.iter().map(|(kind, value)| encode(*kind, &value.to_ne_bytes())).collect()
    }

    /// What this machine's devices are, they tell alone what they tell among all.
    #[test]
    fn one_device_is_asked_as_all_are() {
        let Ok(Some(family)) = family("ethtool") else { return };
        for command in [LINKMODES, RINGS, CHANNELS, COALESCE, PAUSE] {
            let told = |answer: &[u8]| {
                let mut devices = BTreeMap::new();
                add(&mut devices, command, answer);
                devices
            };
            let (answers, _) = dump_to_end(family, command, &request(command, None)).unwrap();
            for answer in answers {
                let index = device(command, &answer);
                // It may be gone by now.
                if let Ok(Some(alone)) = ask(family, command, &request(command, index)) {
                    assert_eq!(told(&alone).keys().copied().collect::<Vec<_>>(), Vec::from_iter(index));
                    assert_eq!(told(&alone), told(&answer));
                }
            }
        }
    }

    #[test]
    fn rings_channels_and_coalescing() {
        // As 5.10 tells them, and with what later kernels add behind.
        let rings = |list| {
            let told = told(RINGS, &words(list));
            (told.ring, told.transmit_ring)
        };
        let both = [(2, 4096), (5, 1024), (6, 512), (9, 256)];
        assert_eq!(rings(&both), (Some((512, 4096)), Some((256, 1024))));
        assert_eq!(rings(&[(2, 4096), (6, 512), (10, 2048), (13, 1)]), (Some((512, 4096)), None));
        assert_eq!(rings(&[]), (None, None));
        let channels = told(CHANNELS, &words(&[(5, 64), (9, 8)])).channels.unwrap();
        assert_eq!(channels, Channels { combined: (8, 64), receive: (0, 0) });
        let mut attributes = words(&[(2, 50)]);
        attributes.push(encode(11, &[1]));
        let coalesce = told(COALESCE, &attributes).coalesce.unwrap();
        assert_eq!(coalesce, Coalesce { microseconds: Some(50), is_adaptive: Some(true) });
    }

    #[test]
    fn flow_control() {
        let frames = [encode(2, &7_u64.to_ne_bytes()), encode(3, &9_u64.to_ne_bytes())].concat();
        let pause = told(PAUSE, &[encode(3, &[1]), encode(4, &[0]), encode(5, &frames)]).pause.unwrap();
        assert_eq!(pause, Pause { heeds: true, asks: false, received: Some(9), sent: Some(7) });
        assert_eq!(told(PAUSE, &[encode(4, &[1])]).pause.unwrap().received, None);
    }

    #[test]
    fn speeds() {
        let bit = |name: &str, is_set| {
            let value = if is_set { encode(BIT_VALUE, &[]) } else { Vec::new() };
            encode(BIT | NESTED, &[encode(BIT_NAME, format!("{name}\0").as_bytes()), value].concat())
        };
        let ours =
            [bit("Autoneg", true), bit("1000baseT/Full", true), bit("10000baseT/Full", false)].concat();
        let peer = [bit("100baseT/Full", false), bit("Pause", false)].concat();
        let mut attributes = words(&[(5, 100)]);
        attributes.extend([
            encode(2, &[1]),
            encode(3 | NESTED, &encode(BITS | NESTED, &ours)),
            encode(4 | NESTED, &[encode(NO_MASK, &[]), encode(BITS | NESTED, &peer)].concat()),
            encode(6, &[0]),
        ]);
        let expected = Modes {
            is_negotiated: true,
            speed: Some(100),
            is_half: true,
            most: Some(10_000),
            offered: Some(1000),
            peer: Some(100),
        };
        assert_eq!(told(LINKMODES, &attributes).modes, Some(expected));
        assert_eq!(told(LINKMODES, &words(&[(5, u32::MAX)])).modes, Some(Modes::default()));
    }

    #[test]
    fn the_standard_groups() {
        let statistic = |place, value: u64| encode(STATISTIC | NESTED, &encode(place, &value.to_ne_bytes()));
        let group = |id: u32, parts: &[Vec<u8>]| {
            encode(GROUP | NESTED, &[encode(GROUP_ID, &id.to_ne_bytes()), parts.concat()].concat())
        };
        let bucket =
            [words(&[(LOWEST, 1519), (HIGHEST, 2047)]).concat(), encode(COUNT, &5_u64.to_ne_bytes())];
        let told = told(
            STATS,
            &[
                group(0, &[statistic(0, 11)]),
                group(1, &[statistic(3, 1), statistic(4, 12), statistic(21, 13), statistic(99, 1)]),
                group(3, &[statistic(3, 14), encode(LENGTHS_RECEIVED | NESTED, &bucket.concat())]),
                group(9, &[statistic(0, 1)]),
            ],
        );
        let expected = [
            ("eth-phy", "SymbolErrorDuringCarrier", 11),
            ("eth-mac", "FrameCheckSequenceErrors", 12),
            ("eth-mac", "FrameTooLongErrors", 13),
            ("rmon", "etherStatsJabbers", 14),
        ];
        assert_eq!(told.standard, expected);
        assert_eq!(told.lengths, [Lengths { from: 1519, to: 2047, frames: 5 }]);
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(command in 0..40_u8, bytes in proptest::collection::vec(any::<u8>(), 0..120), small in proptest::collection::vec(0..12_u8, 0..200)) {
            for bytes in [bytes, small] {
                add(&mut BTreeMap::new(), command, &bytes);
            }
        }
    }
}
