//! How many events a second netdrop turns into JSON lines on one core: decode, enrich, aggregate and write, as `watch`
//! does it, without the ring and without the output's file. `cargo xtask bench` runs it; it prints a number a round.

use std::fs::File;
use std::hint::black_box;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netdrop::aggregate::{Aggregator, By};
use netdrop::decode::decode;
use netdrop::enrich::Enricher;
use netdrop::kernel::identity::Identity;
use netdrop::kernel::reasons::Reasons;
use netdrop::kernel::symbols::Symbols;
use netdrop::output::{Json, Output as _};
use netdrop_common::{CounterKey, Event, HEADER_AT_LINK, KEY_HAS_IP_PROTOCOL, bytes_of};

/// Bytes of lines that `watch` hands over at once.
const CHUNK: usize = 64 << 10;
/// Rounds, unless the first argument says otherwise, and the time of each.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// Between two events, in ns: a million a second.
const STEP_NS: u64 = 1_000;

/// 64 bytes of a UDP packet on `lo`: Ethernet, IPv4 (127.0.0.1 to itself), UDP (48777 to 9), 22 bytes of `x`.
const HEADER: [u8; 64] = *b"\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\
    \x45\0\0\x32\x12\x34\x40\0\x40\x11\x2a\x85\x7f\0\0\x01\x7f\0\0\x01\
    \xbe\x89\0\x09\0\x1e\xfe\x31xxxxxxxxxxxxxxxxxxxxxx";
/// Where the UDP source port is in it.
const SOURCE_PORT: usize = 14 + 20;

fn main() -> Result<()> {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().with_context(|| format!("`{rounds}` is not a number of rounds"))?,
        None => ROUNDS,
    };
    let reasons = Identity::read(Path::new("/"))?.reasons;
    let mut pipeline = Pipeline::new(reasons)?;
    pipeline.check()?;
    for _ in 0..rounds {
        println!("{:.0}", pipeline.round());
    }
    Ok(())
}

struct Pipeline {
    event: Event,
    enricher: Enricher,
    aggregator: Aggregator,
    json: Json,
    bytes: Vec<u8>,
    lines: Vec<u8>,
}

impl Pipeline {
    fn new(reasons: Reasons) -> Result<Self> {
        let symbols = Symbols::read(BufReader::new(File::open("/proc/kallsyms")?))?;
        let key = CounterKey {
            site: site(&symbols)?,
            netns: u32::try_from(std::fs::metadata("/proc/self/ns/net")?.ino())?,
            ifindex: 1,
            reason: reasons.number("NO_SOCKET")?,
            ethertype: 0x0800,
            ip_protocol: 17,
            flags: KEY_HAS_IP_PROTOCOL,
        };
        let event = Event {
            key,
            weight: 1,
            length: 50,
            header_length: 64,
            network_offset: 14,
            header_at: HEADER_AT_LINK,
            ..Event::default()
        };
        let mut enricher = Enricher::new("/", reasons);
        enricher.learn(Ok(symbols));
        Ok(Self {
            event,
            enricher,
            aggregator: Aggregator::new(By::default()),
            json: Json::new(),
            bytes: [bytes_of(&event), &HEADER].concat(),
            lines: Vec::with_capacity(2 * CHUNK),
        })
    }

    /// One event becomes one line; each has its own time and source port.
    fn step(&mut self) {
        self.event.time_ns += STEP_NS;
        let (fixed, header) = self.bytes.split_at_mut(size_of::<Event>());
        fixed.copy_from_slice(bytes_of(&self.event));
        header[SOURCE_PORT + 1] = header[SOURCE_PORT + 1].wrapping_add(1);
        let raw = decode(black_box(&self.bytes)).expect("a whole event");
        let shown = self.enricher.enrich(&raw, &mut (), |drop| {
            self.aggregator.record(drop);
            self.json.drop(drop, &mut self.lines);
        });
        shown.expect("its symbols are known");
    }

    /// The line says all that it should, so that what is measured is the whole way. Names are known afterwards.
    fn check(&mut self) -> Result<()> {
        self.step();
        let line = String::from_utf8_lossy(&self.lines).into_owned();
        for part in
            [r#""reason":"NO_SOCKET""#, r#""function":"#, r#""name":"lo""#, r#""netns":{"#, r#""port":9}"#]
        {
            ensure!(line.contains(part), "the line lacks {part}: {line}");
        }
        self.lines.clear();
        Ok(())
    }

    /// Events a second.
    fn round(&mut self) -> f64 {
        let (start, mut events) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            while self.lines.len() < CHUNK {
                self.step();
                events += 1;
            }
            black_box(&self.lines).len();
            self.lines.clear();
        }
        f64::from(events) / start.elapsed().as_secs_f64()
    }
}

/// An address inside of a function that drops packets without a receiver.
fn site(symbols: &Symbols) -> Result<u64> {
    const FUNCTIONS: [&str; 3] = ["__udp4_lib_rcv", "udp_rcv", "icmp_rcv"];
    let mut ranges = FUNCTIONS.iter().filter_map(|name| symbols.ranges(name).ok()?.first().cloned());
    Ok(ranges.next().context("kallsyms has none of the functions that drop UDP")?.start + 0x10)
}
