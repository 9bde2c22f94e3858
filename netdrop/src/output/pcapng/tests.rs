//! What is written is read back by another's reader.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use insta::assert_snapshot;
use pcap_parser::{Block, PcapBlockOwned, PcapError, PcapNGReader, traits::PcapReaderIterator as _};
use proptest::prelude::*;

use super::super::file::{Destination as _, Limit};
use super::super::samples::{self, Parts};
use super::*;
use crate::model::{Context, Header, Protocol};

const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
const IPV4: [u8; 20] = [0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];

fn pcapng(limit: Option<Limit>) -> Pcapng {
    Pcapng::new(Machine { hardware: "x86_64".into(), system: "Linux 6.12.1".into() }, limit)
}

fn bytes(limit: Option<Limit>, drops: &[Drop<'_>]) -> Vec<u8> {
    let (mut format, mut out) = (pcapng(limit), Vec::new());
    for drop in drops {
        format.drop(drop, &mut out);
    }
    format.end(&Summary::default(), &mut out);
    out
}

fn at_link<'a>(parts: &'a Parts, bytes: &'a [u8]) -> Drop<'a> {
    Drop { header: Header { bytes, network: Some(14), vlan: None }, ..parts.drop(1) }
}

/// Text of an option; its padding is the reader's to cut.
fn text(value: &[u8]) -> String {
    String::from_utf8(value.to_vec()).unwrap().trim_end_matches('\0').to_owned()
}

/// A line a block.
fn read_back(bytes: &[u8]) -> String {
    let mut reader = PcapNGReader::new(1 << 20, bytes).unwrap();
    let mut lines = Vec::new();
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                let PcapBlockOwned::NG(block) = block else { panic!("not pcapng") };
                lines.push(line(&block));
                reader.consume(offset);
            }
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(PcapError::Eof) => return lines.join("\n"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn line(block: &Block<'_>) -> String {
    let options = |options: &[pcap_parser::PcapNGOption<'_>], is_text: &dyn Fn(u16) -> bool| -> String {
        let shown = options.iter().filter(|option| option.code.0 != 0).map(|option| {
            let value = option.as_bytes().unwrap();
            let value = if is_text(option.code.0) { text(value) } else { format!("{value:?}") };
            format!(" {}={value}", option.code.0)
        });
        shown.collect()
    };
    match block {
        Block::SectionHeader(block) => format!("section{}", options(&block.options, &|_| true)),
        Block::InterfaceDescription(block) => {
            let options = options(&block.options, &|code| code < 9);
            format!("interface link={} resolution={}{options}", block.linktype.0, block.if_tsresol)
        }
        Block::EnhancedPacket(block) => {
            let time = (u64::from(block.ts_high) << 32) | u64::from(block.ts_low);
            let options = options(&block.options, &|code| code == 1);
            format!("packet on={} time={time} {}/{}{options}", block.if_id, block.caplen, block.origlen)
        }
        Block::InterfaceStatistics(block) => {
            format!("statistics of={}{}", block.if_id, options(&block.options, &|_| false))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_reads_back_as_what_was_dropped() {
    let frame = [&ETHERNET[..], &IPV4].concat();
    let (udp, full, bare) = (samples::udp(), samples::full(), samples::bare());
    let at_network = Header { bytes: &IPV4, network: Some(0), vlan: None };
    let context = Context { verdict: Some(samples::verdict()), ..Context::default() };
    let drops = [
        at_link(&udp, &frame),
        Drop { weight: 12, time: Timestamp(samples::TIME.0 + 1), context, ..at_link(&udp, &frame) },
        Drop { header: at_network, ..full.drop(1) },
        bare.drop(1),
    ];
    let text = read_back(&bytes(None, &drops)).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    assert_snapshot!(text, @r"
    section 2=x86_64 3=Linux 6.12.1 4=netdrop VERSION
    interface link=1 resolution=9 2=lo 3=netns host 9=[9]
    packet on=0 time=1795308225123456789 34/43 1=NO_SOCKET (no-receiver) at __udp4_lib_rcv+0x4bc
    packet on=0 time=1795308225123456790 34/43 1=NO_SOCKET (no-receiver) at __udp4_lib_rcv+0x4bc, verdict nftables inet input, stands for 12 drops 4=[11, 0, 0, 0, 0, 0, 0, 0]
    interface link=229 resolution=9 2=eth0.7 3=netns web 9=[9]
    packet on=1 time=1795308225123456789 20/2960 1=TCP_LISTEN_OVERFLOW (congestion) at tcp_conn_request+0x1a2 [ipv6]
    interface link=147 resolution=9 9=[9]
    packet on=2 time=1795308225123456789 0/60 1=dropped at 0xffffffff8193bb1c
    statistics of=0 2=[81, 55, 234, 24, 21, 23, 210, 156] 3=[81, 55, 234, 24, 22, 23, 210, 156] 4=[13, 0, 0, 0, 0, 0, 0, 0] 7=[11, 0, 0, 0, 0, 0, 0, 0]
    statistics of=1 2=[81, 55, 234, 24, 21, 23, 210, 156] 3=[81, 55, 234, 24, 21, 23, 210, 156] 4=[1, 0, 0, 0, 0, 0, 0, 0] 7=[0, 0, 0, 0, 0, 0, 0, 0]
    statistics of=2 2=[81, 55, 234, 24, 21, 23, 210, 156] 3=[81, 55, 234, 24, 21, 23, 210, 156] 4=[1, 0, 0, 0, 0, 0, 0, 0] 7=[0, 0, 0, 0, 0, 0, 0, 0]
    ");
}

#[test]
fn what_hardware_dropped_is_told_by_its_trap() {
    let text = read_back(&bytes(None, &[at_link(&samples::trapped(), &ETHERNET)]));
    assert!(text.contains("1=blackhole_route (policy) by hardware pci/0000:01:00.0\n"), "{text}");
}

#[test]
fn nothing_dropped_is_a_file_all_the_same() {
    assert!(read_back(&bytes(None, &[])).starts_with("section"));
}

#[rstest::rstest]
#[case::ipv4(0x0800, Some(0), &[0x45, 0], "228 2/29")]
#[case::ipv6(0x86dd, Some(0), &[0x60, 0], "229 2/29")]
#[case::the_kernel_had_not_noted_it(0, Some(0), &[0x45, 0], "101 2/29")]
#[case::arp_without_its_header(0x0806, Some(0), &[0, 1], "113 18/45")]
#[case::a_tunnels_header_before_it(0x0800, Some(24), &[0x45; 30], "228 6/29")]
#[case::ethernet(0x0800, Some(14), &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45], "1 15/43")]
#[case::ethernet_with_tag(0x0800, Some(18), &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 8, 0, 0x45], "1 19/47")]
#[case::a_tag_not_yet_taken_off(0x8100, Some(14), &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 8, 0, 0x45], "1 19/43")]
#[case::a_length_for_an_ethertype(0x0004, Some(14), &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0, 3, 0x42, 0x42, 3], "1 17/43")]
#[case::ethernet_and_no_network_header(0x0806, None, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1], "1 16/29")]
#[case::bytes_that_nothing_tells_of(0x0800, None, &[1; 20], "147 20/29")]
#[case::cut_inside_its_header(0x0800, Some(14), &[2, 0, 0], "147 3/29")]
#[case::no_bytes(0x0800, None, &[], "147 0/29")]
#[case::more_than_there_was(0x0800, None, &[1; 40], "147 40/40")]
fn a_packet_is_what_it_begins_with(
    #[case] ethertype: u16,
    #[case] network: Option<usize>,
    #[case] bytes: &[u8],
    #[case] expected: &str,
) {
    let mut parts = samples::udp();
    parts.packet.protocol = Protocol { ethertype, ip: None };
    let frame = Frame::of(&Drop { header: Header { bytes, network, vlan: None }, ..parts.drop(1) });
    assert_eq!(format!("{} {}/{}", frame.link as u16, frame.length(), frame.wire_length), expected);
}

#[test]
fn a_tag_kept_beside_the_packet_is_put_back() {
    let bytes = [&ETHERNET[..], &IPV4].concat();
    let parts = samples::udp();
    let header = Header { bytes: &bytes, network: Some(14), vlan: Some((0x8100, 0x2007)) };
    let frame = Frame::of(&Drop { header, ..parts.drop(1) });
    assert_eq!(frame.parts().concat()[10..20], [0, 2, 0x81, 0, 0x20, 7, 8, 0, 0x45, 0]);
    assert_eq!(frame.wire_length, 14 + 4 + 29);
}

/// Files of one packet each, by size and by time; without a limit all are in one.
#[rstest::rstest]
#[case(None, 1)]
#[case(Some(Limit::Size(1)), 3)]
#[case(Some(Limit::Size(1 << 20)), 1)]
#[case(Some(Limit::Age(Duration::from_nanos(2))), 2)]
fn sections_end_at_their_limit(#[case] limit: Option<Limit>, #[case] sections: usize) {
    let (frame, parts) = ([&ETHERNET[..], &IPV4].concat(), samples::udp());
    let drops = [0, 1, 2].map(|ns| Drop { time: Timestamp(samples::TIME.0 + ns), ..at_link(&parts, &frame) });
    let all = read_back(&bytes(limit, &drops));
    let lines = |of: &str| all.lines().filter(|line| line.starts_with(of)).count();
    assert_eq!(
        (lines("section"), lines("interface"), lines("statistics")),
        (sections, sections, sections),
        "{all}"
    );
    assert_eq!(lines("packet"), 3);
}

#[test]
fn each_rotated_file_is_whole_and_an_older_one_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drops.pcapng");
    fs::write(&path, "an older file").unwrap();
    let (frame, parts) = ([&ETHERNET[..], &IPV4].concat(), samples::udp());
    let drops = [1, 2, 3].map(|weight| Drop { weight, ..at_link(&parts, &frame) });
    let all = bytes(Some(Limit::Size(1)), &drops);
    let mut files = PacketFiles::open(&path, Some(3)).unwrap();
    // In pieces, as a writer may take them: the first ends inside of a block.
    let (first, rest) = all.split_at(100);
    files.write_all(first).unwrap();
    files.write_all(rest).unwrap();
    files.finish().unwrap();
    let dropped = |number: u32| {
        let text = read_back(&fs::read(format!("{}.{number}", path.display())).unwrap());
        assert!(text.starts_with("section") && text.lines().count() == 4, "{text}");
        text.lines().find(|line| line.starts_with("packet")).unwrap().to_owned()
    };
    assert!(dropped(1).contains("stands for 2 drops") && !dropped(2).contains("stands for"));
    assert!(read_back(&fs::read(&path).unwrap()).contains("stands for 3 drops"));
    assert_eq!(fs::read(folder.path().join("drops.pcapng.3")).unwrap(), b"an older file");
}

proptest! {
    /// Whatever was copied of a packet, a reader takes it, and finds no more captured than there was.
    #[test]
    fn any_bytes_are_a_readable_packet(
        copied in prop::collection::vec(any::<u8>(), 0..64),
        network in prop::option::of(0_usize..80),
        vlan in any::<Option<(u16, u16)>>(),
        (ethertype, length, weight) in (prop_oneof![Just(0_u16), Just(0x0800), any::<u16>()], any::<u32>(), 1_u64..),
    ) {
        let mut parts = samples::udp();
        parts.packet.protocol.ethertype = ethertype;
        parts.packet.length = length;
        let header = Header { bytes: &copied, network, vlan };
        let drop = Drop { header, ..parts.drop(weight) };
        let frame = Frame::of(&drop);
        prop_assert!(frame.length() <= frame.wire_length);
        let text = read_back(&bytes(None, &[drop]));
        prop_assert_eq!(text.lines().count(), 4);
    }
}
