//! The packets that netdrop writes, read by tshark: exactly those that were sent, each with what the lines say of it.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::shape::{ETHER_V4, ETHER_V6, UDP, V4, V6};
use super::tc_xdp::classifier;
use crate::lab::{Folder, Lab, SENDER, Skip, until};
use crate::netdrop::Netdrop;
use crate::report::Watcher as _;
use crate::runner::Bench;
use crate::scenario::System;
use crate::traffic::{Ethernet, Ipv4, Mac, PacketSocket};

const PATIENCE: Duration = Duration::from_secs(30);
const ETHERNET_BYTES: usize = 14;
const NOBODYS: Mac = [2, 0, 0, 0, 0, 0x77];

pub fn table() -> Vec<System> {
    vec![
        System::new("pcap-read-by-tshark", |bench| every_packet(bench, &Lab::pair_v6()?, &frames())),
        System::new("pcap-vlan-tags-are-put-back", |bench| {
            let lab = Lab::pair()?;
            // Before the kernel forgets the tag of a VLAN that it doesn't have.
            classifier(&lab.receiver, "r0", "ingress")?;
            let tagged = Ethernet { vlan: Some(7), ..ETHER_V4 };
            let frames: Vec<_> = (0..3).map(|number| tagged.wrap(&over_v4(number))).collect();
            every_packet(bench, &lab, &frames)
        }),
        System::new("pcap-snaplen", |bench| cut_short(bench, 64)),
        System::new("pcap-snaplen-most", |bench| cut_short(bench, 256)),
        System::new("pcap-rotated-files-are-whole", rotated),
        System::new("pcap-disk-full", disk_full),
    ]
}

/// IPv4, IPv6, and frames for another host, each told by its payload.
fn frames() -> Vec<Vec<u8>> {
    let for_another = Ethernet { destination: NOBODYS, ..ETHER_V4 };
    let over_v6 = |number| UDP.packet(&V6, &payload(number));
    (0..5)
        .map(|number| ETHER_V4.wrap(&over_v4(number)))
        .chain((5..9).map(|number| ETHER_V6.wrap(&over_v6(number))))
        .chain((9..12).map(|number| for_another.wrap(&over_v4(number))))
        .collect()
}

fn over_v4(number: u8) -> Vec<u8> {
    UDP.packet(&Ipv4 { identification: number.into(), ..V4 }, &payload(number))
}

fn payload(number: u8) -> Vec<u8> {
    [b"packet ".as_slice(), &[b'A' + number]].concat()
}

/// The payload's digits of a frame, as tshark writes them.
fn payload_of(frame: &[u8]) -> String {
    let payload = &frame[frame.len() - b"packet A".len()..];
    payload.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn every_packet(bench: &Bench, lab: &Lab, frames: &[Vec<u8>]) -> Result<()> {
    let folder = Folder::create()?;
    let path = folder.file("drops.pcapng");
    tshark(&["-v"])?;
    let lines = watch(bench, lab, &["--snaplen", "256", "--pcap", &path], frames)?;
    let read = packets(&path)?;
    ensure!(read.len() == frames.len(), "{} packets of {}: {read:#?}", read.len(), frames.len());
    ensure!(lines.len() == frames.len(), "{} lines of {}", lines.len(), frames.len());
    let mut before = String::new();
    for ((packet, line), frame) in read.iter().zip(&lines).zip(frames) {
        let wanted = [
            ("frame.interface_name", "r0".to_owned()),
            ("frame.interface_description", format!("netns {}", lab.receiver.name())),
            ("frame.comment", comment(line)?),
            ("frame.time_epoch", epoch(line)?),
            ("frame.cap_len", frame.len().to_string()),
            ("frame.len", frame.len().to_string()),
            ("udp.dstport", UDP.destination.to_string()),
            ("data.data", payload_of(frame)),
            ("eth.src", "02:00:00:00:00:01".into()),
            ("vlan.id", if frame[12..14] == [0x81, 0] { "7".into() } else { String::new() }),
        ];
        for (field, value) in wanted {
            let found = packet.field(field);
            ensure!(found == value, "{field} is {found:?}, not {value:?}: {packet:?}\n          {line}");
        }
        let is_v6 = frame[12..14] == [0x86, 0xdd];
        let source =
            if is_v6 { ("ipv6.src", V6.source.to_string()) } else { ("ip.src", V4.source.to_string()) };
        ensure!(packet.field(source.0) == source.1, "{source:?}: {packet:?}");
        let time = packet.field("frame.time_epoch").to_owned();
        ensure!(before <= time, "{time} comes after {before}");
        before = time;
    }
    Ok(())
}

/// Of a long packet what was asked for is there, and how long it was.
fn cut_short(bench: &Bench, snaplen: usize) -> Result<()> {
    const PAYLOAD: usize = 1000;
    let folder = Folder::create()?;
    let path = folder.file("drops.pcapng");
    tshark(&["-v"])?;
    let lab = Lab::pair()?;
    let frame = ETHER_V4.wrap(&UDP.packet(&V4, &[b'x'; PAYLOAD]));
    watch(bench, &lab, &["--pcap", &path, "--snaplen", &snaplen.to_string()], std::slice::from_ref(&frame))?;
    let read = packets(&path)?;
    let lengths: Vec<_> =
        read.iter().map(|packet| (packet.field("frame.cap_len"), packet.field("frame.len"))).collect();
    let original = (ETHERNET_BYTES + 20 + 8 + PAYLOAD).to_string();
    ensure!(lengths == [(snaplen.to_string().as_str(), original.as_str())], "{lengths:?}");
    Ok(())
}

/// Each file is read alone; together they have all packets, the oldest first.
fn rotated(bench: &Bench) -> Result<()> {
    let folder = Folder::create()?;
    let path = folder.file("drops.pcapng");
    tshark(&["-v"])?;
    let lab = Lab::pair_v6()?;
    let frames = frames();
    watch(bench, &lab, &["--pcap", &path, "--pcap-rotate", "600", "--keep", "99"], &frames)?;
    let mut payloads = Vec::new();
    let mut files = 0;
    for number in (0..=99).rev() {
        let file = if number == 0 { path.clone() } else { format!("{path}.{number}") };
        if !Path::new(&file).exists() {
            continue;
        }
        files += 1;
        let read = packets(&file)?;
        ensure!(!read.is_empty(), "{file} has no packet");
        payloads.extend(read.iter().map(|packet| packet.field("data.data").to_owned()));
    }
    ensure!(files > 2, "{files} files are no rotation");
    let sent: Vec<_> = frames.iter().map(|frame| payload_of(frame)).collect();
    ensure!(payloads == sent, "\n          want {sent:?}\n          read {payloads:?}");
    Ok(())
}

/// Packets that can't be written end the run; its lines are complete all the same.
fn disk_full(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let inode = lab.receiver.inode().to_string();
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all", "--netns", &inode, "--pcap", "/dev/full"])?;
    PacketSocket::sender(lab.from(), SENDER.device)?.send(&ETHER_V4.wrap(&over_v4(0)))?;
    // It ends by itself: the section's header alone is too much.
    let (status, lines, stderr) = netdrop.wait()?;
    ensure!(status.code() == Some(1), "{status}, not exit code 1: {}", stderr.trim());
    let errors = stderr.lines().filter(|line| line.contains("/dev/full")).count();
    ensure!(errors == 1, "{errors} lines name /dev/full, not one: {}", stderr.trim());
    ensure!(lines.last().is_some_and(|line| line["kind"] == "end"), "the lines have no end: {lines:?}");
    Ok(())
}

/// Sends `frames` to the receiver under `netdrop watch --all`; gives its drop lines.
fn watch(bench: &Bench, lab: &Lab, arguments: &[&str], frames: &[Vec<u8>]) -> Result<Vec<Value>> {
    let inode = lab.receiver.inode().to_string();
    let mut netdrop = Netdrop::start(&bench.netdrop, &[&["--all", "--netns", &inode], arguments].concat())?;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    for frame in frames {
        socket.send(frame)?;
    }
    until("netdrop to count the packets", PATIENCE, || {
        let seen = netdrop.so_far().count(|_| true);
        Ok((seen >= frames.len() as u64).then_some(()))
    })?;
    netdrop.signal(Signal::SIGINT)?;
    Ok(netdrop.report()?.drops)
}

/// What the packet's comment must be by its line.
fn comment(line: &Value) -> Result<String> {
    let place = format!(
        "{}+{:#x}",
        line["function"].as_str().context("a function")?,
        line["offset"].as_u64().context("an offset")?
    );
    let place = line["module"].as_str().map_or(place.clone(), |module| format!("{place} [{module}]"));
    Ok(match (line["reason"].as_str(), line["class"].as_str()) {
        (Some(reason), Some(class)) => format!("{reason} ({class}) at {place}"),
        _ => format!("dropped at {place}"),
    })
}

/// The line's time as tshark prints it: seconds since the epoch, to the nanosecond.
fn epoch(line: &Value) -> Result<String> {
    let time = line["time"].as_str().context("a time")?;
    let (time, fraction) = time.trim_end_matches('Z').split_once('.').context("a fraction")?;
    let numbers = time.split(['-', 'T', ':']).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let [year, month, day, hour, minute, second] = numbers[..] else { bail!("{time} is no time") };
    // Years that begin in March end with the leap day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Ok(format!("{}.{fraction}", ((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// Fields that are asked of tshark.
const FIELDS: [&str; 12] = [
    "frame.interface_name",
    "frame.interface_description",
    "frame.comment",
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "udp.dstport",
    "data.data",
    "eth.src",
    "vlan.id",
    "ip.src",
    "ipv6.src",
];

/// A packet as tshark dissects it.
#[derive(Debug)]
struct Dissected(Vec<String>);

impl Dissected {
    fn field(&self, name: &str) -> &str {
        let place = FIELDS.iter().position(|field| *field == name);
        place.and_then(|place| self.0.get(place)).map_or("", String::as_str)
    }
}

fn packets(path: &str) -> Result<Vec<Dissected>> {
    let fields = FIELDS.iter().flat_map(|field| ["-e", field]);
    let arguments: Vec<&str> = ["-r", path, "-n", "-T", "fields"].into_iter().chain(fields).collect();
    let printed = tshark(&arguments)?;
    Ok(printed.lines().map(|line| Dissected(line.split('\t').map(str::to_owned).collect())).collect())
}

/// What tshark prints; where it isn't installed, the case is skipped.
fn tshark(arguments: &[&str]) -> Result<String> {
    let output = match Command::new("tshark").args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Skip("tshark is not installed".into()).into());
        }
        output => output.context("can't run tshark")?,
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tshark {arguments:?}: {}", stderr.trim());
    Ok(String::from_utf8(output.stdout)?)
}
