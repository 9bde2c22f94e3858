//! `netdrop tcp rtt`: what is counted is what TCP itself has measured, acknowledgement by acknowledgement.
//!
//! The program sees each acknowledgement before TCP does (`tcp_probe`): it tells what the one before has told, and the last one's time at
//! the connection's end.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt::Linger};

use crate::lab::wire::{FAR, Fate, Wire};
use crate::lab::{Lab, Namespace, RECEIVER, SENDER, until, wait_reachable};
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::{Row, Tcp, acknowledged, expect, rows};

const PATIENCE: Duration = Duration::from_mins(1);
/// Questions and answers of a connection.
const ROUNDS: usize = 20;
/// What the way adds.
const DELAY: Duration = Duration::from_millis(20);

pub fn table() -> Vec<System> {
    let mut table = Vec::new();
    for (index, family) in ["v4", "v6"].into_iter().enumerate() {
        let name = format!("tcp-rtt-srtt-as-tcp-info-{family}");
        table.push(System::new(&name, move |bench| smoothed(bench, index)));
        table.push(System::new(&format!("tcp-rtt-samples-{family}"), move |bench| samples(bench, index)));
        table.push(System::new(&format!("tcp-rtt-by-{family}"), move |bench| by(bench, index)));
    }
    table.extend([
        System::new("tcp-rtt-netem-delay", netem),
        System::new("tcp-rtt-told-apart", told_apart),
        System::new("tcp-rtt-interval", interval),
        System::new("tcp-rtt-receiver-measures-nothing", receiver),
    ]);
    table
}

/// A connection, and what each of its rounds took and TCP then knew.
struct Talk {
    client: TcpStream,
    server: TcpStream,
    /// From before the question to after its acknowledgement: more than TCP can have measured, in µs.
    at_most: Vec<u64>,
    /// `tcpi_rtt` before each question: TCP's smoothed time.
    smoothed: Vec<u64>,
    /// `tcpi_min_rtt` at last: the least, the handshake's included.
    least: u64,
}

impl Talk {
    /// Opens it from one namespace to the other's address.
    fn open(near: &Namespace, far: &Namespace, to: IpAddr) -> Result<Self> {
        let listener = far.enter(|| Ok(TcpListener::bind(SocketAddr::new(to, 0))?))?;
        let address = listener.local_addr()?;
        let started = Instant::now();
        let client = near.enter(|| Ok(TcpStream::connect(address)?))?;
        client.set_nodelay(true)?;
        let (server, _) = listener.accept()?;
        let at_most = vec![microseconds(started.elapsed())?];
        Ok(Self { client, server, at_most, smoothed: Vec::new(), least: 0 })
    }

    /// Asks so often; each answer acknowledges its question.
    fn rounds(&mut self, rounds: usize) -> Result<()> {
        let mut byte = [0];
        for _ in 0..rounds {
            self.smoothed.push(acknowledged(&self.client)?.tcpi_rtt.into());
            let started = Instant::now();
            self.client.write_all(&[1])?;
            self.server.read_exact(&mut byte)?;
            self.server.write_all(&[2])?;
            self.client.read_exact(&mut byte)?;
            self.least = acknowledged(&self.client)?.tcpi_min_rtt.into();
            self.at_most.push(microseconds(started.elapsed())?);
        }
        Ok(())
    }
}

fn microseconds(time: Duration) -> Result<u64> {
    Ok(u64::try_from(time.as_micros())?)
}

/// The rows of the whole run, for `work`.
fn told(bench: &Bench, lab: &Lab, flags: &[&str], work: impl FnOnce() -> Result<()>) -> Result<Vec<Row>> {
    let arguments: Vec<&str> = ["rtt", "--format", "csv"].iter().chain(flags).copied().collect();
    let netdrop = Tcp::start(bench, lab, &arguments)?;
    work()?;
    rows(&netdrop.end()?)
}

/// A time as it is told: from the first to below the second, µs.
type Bucket = (u64, u64);

/// The bucket of each time, the smallest first.
fn times(rows: &[Row], what: &str) -> Result<Vec<Bucket>> {
    let mut times = Vec::new();
    for row in rows.iter().filter(|row| row.get("rtt").is_some_and(|is| is == what)) {
        let number =
            |name: &str| -> Result<u64> { Ok(row.get(name).context("the column is there")?.parse()?) };
        let (from, below) = (number("lower_us")?, number("upper_us")?);
        ensure!(from < below && below - from <= 1.max(from / 4), "more than a quarter apart: {row:?}");
        times.extend(std::iter::repeat_n((from, below), usize::try_from(number("count")?)?));
    }
    times.sort_unstable();
    Ok(times)
}

/// Whether these are the buckets of these times, one for one.
fn are_of(told: &[Bucket], mut times: Vec<u64>) -> Result<()> {
    times.sort_unstable();
    let is_of = |((from, below), time): (&Bucket, &u64)| (*from..*below).contains(time);
    ensure!(told.len() == times.len() && told.iter().zip(&times).all(is_of), "{told:?} instead of {times:?}");
    Ok(())
}

/// The same buckets as TCP's own word at each acknowledgement, one for one.
fn smoothed(bench: &Bench, family: usize) -> Result<()> {
    let wire = Wire::new(|_| Fate::Passes)?;
    let mut talk = Talk::open(&wire.lab.receiver, &wire.far, FAR[family])?;
    let rows = told(bench, &wire.lab, &["--srtt"], || talk.rounds(ROUNDS))?;
    are_of(&times(&rows, "srtt")?, talk.smoothed)?;
    ensure!(times(&rows, "sample")?.is_empty(), "{rows:?}");
    Ok(())
}

/// Whether these buckets' times lie between the way's delay and what each round took, as a whole: the n-th of one is at most the
/// n-th of the other.
fn between(told: &[Bucket], delay: Duration, mut at_most: Vec<u64>) -> Result<()> {
    at_most.sort_unstable();
    ensure!(
        told.len() == at_most.len(),
        "{} times of {} acknowledgements: {told:?}",
        told.len(),
        at_most.len()
    );
    let least = microseconds(delay)?;
    ensure!(told.iter().all(|(_, below)| *below > least), "less than {delay:?}: {told:?}");
    ensure!(
        told.iter().zip(&at_most).all(|((from, _), most)| from <= most),
        "{told:?} took more than {at_most:?}"
    );
    Ok(())
}

/// A time an acknowledgement, the handshake's too, none below the way's delay, none above what the exchange took, and the least of
/// them is the least that TCP knows.
fn samples(bench: &Bench, family: usize) -> Result<()> {
    let wire = Wire::new(|segment| if segment.is_ours { Fate::Late(DELAY / 4) } else { Fate::Passes })?;
    let mut talked = None;
    let rows = told(bench, &wire.lab, &[], || {
        let mut talk = Talk::open(&wire.lab.receiver, &wire.far, FAR[family])?;
        talk.rounds(ROUNDS)?;
        let Talk { mut client, server, at_most, least, .. } = talk;
        talked = Some((at_most, least));
        // Reset, it has nothing left to send that would be measured.
        setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        drop(server);
        until("the reset", PATIENCE, || Ok(client.read(&mut [0]).is_err().then_some(())))
    })?;
    let (at_most, least) = talked.context("they talked")?;
    let told = times(&rows, "sample")?;
    let is_least = told.first().is_some_and(|(from, below)| (*from..*below).contains(&least));
    ensure!(is_least, "{told:?} begin elsewhere than at {least} µs");
    between(&told, DELAY / 4, at_most)
}

/// As the kernel's own emulator delays.
fn netem(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let delay = format!("tc qdisc add dev {} root netem delay {}ms", RECEIVER.device, DELAY.as_millis());
    lab.receiver.feature("netem", &delay, "")?;
    let mut talk = Talk::open(&lab.receiver, lab.from(), SENDER.v4.into())?;
    // What the handshake has measured is told by the first acknowledgement; what the last round has, by nobody.
    let netdrop = Tcp::start(bench, &lab, &["rtt", "--format", "text", "--by", "remote"])?;
    talk.rounds(ROUNDS)?;
    let lines = netdrop.end()?;
    talk.at_most.pop();
    talk.at_most.sort_unstable();
    let sum: u64 = talk.at_most.iter().sum();
    let row = lines.iter().find(|line| line.starts_with(&format!("# {}", SENDER.v4)));
    let row = row.with_context(|| format!("no row of {} in {lines:#?}", SENDER.v4))?;
    let words: Vec<&str> = row.split_whitespace().collect();
    ensure!(words.get(2) == Some(&ROUNDS.to_string().as_str()), "not {ROUNDS} times: {row}");
    let [mean, min, p50, p90, p99, max] = std::array::from_fn(|at| told_us(&words[3 + at * 2..5 + at * 2]));
    // The mean is exact to its three digits, the others are the middles of their buckets: at most 12.5 % off.
    let least = DELAY.as_secs_f64() * 1e6;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute")]
    let most = |at: usize| talk.at_most[at] as f64;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute")]
    let most_mean = sum as f64 / ROUNDS as f64;
    ensure!(
        (least * 0.995..=most_mean * 1.005).contains(&mean),
        "mean {mean} of {least} to {most_mean}: {row}"
    );
    for (name, told, at) in [("min", min, 0), ("p50", p50, ROUNDS / 2), ("p90", p90, ROUNDS * 9 / 10)] {
        let range = least * 0.875..=most(at) * 1.125;
        ensure!(range.contains(&told), "{name} {told} isn't in {range:?}: {row}");
    }
    for told in [p99, max] {
        ensure!((least * 0.875..=most(ROUNDS - 1) * 1.125).contains(&told), "{told}: {row}");
    }
    ensure!(min <= p50 && p50 <= p90 && p90 <= p99 && p99 <= max, "{row}");
    Ok(())
}

/// `20.9 ms` in µs.
fn told_us(words: &[&str]) -> f64 {
    let unit = match words[1] {
        "ns" => 1e-3,
        "µs" => 1.0,
        "ms" => 1e3,
        _ => 1e6,
    };
    words[0].parse::<f64>().unwrap_or(f64::NAN) * unit
}

/// When the way becomes longer, samples say so at once, and the smoothed time only bit by bit: both as TCP has them.
fn told_apart(bench: &Bench) -> Result<()> {
    const LONG: Duration = Duration::from_millis(60);
    const SLOW: usize = 4;
    let is_long = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let way = std::sync::Arc::clone(&is_long);
    let wire = Wire::new(move |segment| {
        let is_long = way.load(std::sync::atomic::Ordering::SeqCst);
        if segment.is_ours && is_long && !segment.payload.is_empty() {
            Fate::Late(LONG)
        } else {
            Fate::Passes
        }
    })?;
    let mut talk = Talk::open(&wire.lab.receiver, &wire.far, FAR[0])?;
    talk.rounds(ROUNDS)?;
    let before = talk.smoothed.len();
    let rows = told(bench, &wire.lab, &["--srtt", "--sample"], || {
        is_long.store(true, std::sync::atomic::Ordering::SeqCst);
        talk.rounds(SLOW)
    })?;
    let (smoothed, samples) = (times(&rows, "srtt")?, times(&rows, "sample")?);
    are_of(&smoothed, talk.smoothed[before..].to_vec())?;
    // The first acknowledgement tells of the way as it was before it.
    let long = microseconds(LONG)?;
    let slow = samples.iter().filter(|(_, below)| *below > long).count();
    ensure!(samples.len() == SLOW && slow >= SLOW - 1, "{samples:?}");
    // An eighth of each new time goes in (RFC 6298, 2.3).
    let lags = smoothed.iter().filter(|(_, below)| *below <= long).count();
    ensure!(lags > samples.len() - slow, "{smoothed:?} is no smoother than {samples:?}");
    Ok(())
}

/// Two remote hosts, one behind the other: each dimension tells them apart where it can, and names what `ip` names.
fn by(bench: &Bench, family: usize) -> Result<()> {
    let lab = Lab::pair_v6()?;
    let (near, far) = (&lab.receiver, lab.from());
    let gateway = [IpAddr::V4(SENDER.v4), IpAddr::V6(SENDER.v6)][family];
    let local = [IpAddr::V4(RECEIVER.v4), IpAddr::V6(RECEIVER.v6)][family];
    let behind: IpAddr = [IpAddr::V4(Ipv4Addr::new(10, 9, 7, 1)), IpAddr::V6("fd07::1".parse()?)][family];
    far.ip(&[&format!("addr add {behind} dev lo")])?;
    let device = RECEIVER.device;
    near.run_with_input(&format!("ip route add {behind} via {gateway} dev {device}"), "")?;
    for (from, to, address) in [(near, far, gateway), (near, far, behind), (far, near, local)] {
        wait_reachable(from, to, address)?;
    }
    let mut talks = [Talk::open(near, far, gateway)?, Talk::open(near, far, behind)?];
    let ports = [talks[0].client.local_addr()?.port(), talks[1].client.local_addr()?.port()];
    let theirs = [talks[0].server.local_addr()?.port(), talks[1].server.local_addr()?.port()];
    let owner = format!("({})", std::process::id());
    let each = ["remote", "local", "port", "remote-port", "device", "route", "owner", "netns"];
    let rows = told(bench, &lab, &["--by", &each.join(",")], || {
        talks[0].rounds(ROUNDS)?;
        talks[1].rounds(ROUNDS * 2)
    })?;
    for (at, (remote, route)) in
        [(gateway, format!("dev {device}")), (behind, format!("via {gateway} dev {device}"))]
            .into_iter()
            .enumerate()
    {
        let port = ports[at].to_string();
        let own: Vec<Row> = rows.iter().filter(|row| row.get("port") == Some(&port)).cloned().collect();
        ensure!(times(&own, "sample")?.len() == ROUNDS * (at + 1), "{rows:#?}");
        for row in &own {
            expect(
                row,
                &[("remote", &remote.to_string()), ("local", &local.to_string()), ("route", &route)],
            )?;
            expect(
                row,
                &[("remote-port", &theirs[at].to_string()), ("device", device), ("netns", near.name())],
            )?;
            expect(row, &[("others", "false")])?;
            ensure!(row.get("owner").is_some_and(|is| is.ends_with(&owner)), "{row:?}");
        }
    }
    ensure!(times(&rows, "sample")?.len() == ROUNDS * 3, "{rows:#?}");
    // By one thing alone: what both share is one row's.
    for (by, values) in [("remote", 2), ("port", 2), ("route", 2), ("local", 1), ("device", 1), ("owner", 1)]
    {
        let rows = told(bench, &lab, &["--by", by], || talks.iter_mut().try_for_each(|talk| talk.rounds(2)))?;
        let mut names: Vec<_> = rows.iter().filter_map(|row| row.get(by)).collect();
        names.sort_unstable();
        names.dedup();
        ensure!(names.len() == values, "--by {by}: {names:?}");
        ensure!(times(&rows, "sample")?.len() == 4, "--by {by}: {rows:#?}");
    }
    Ok(())
}

/// Each interval has a line of its own times alone; together they are all.
fn interval(bench: &Bench) -> Result<()> {
    let wire = Wire::new(|_| Fate::Passes)?;
    let mut talk = Talk::open(&wire.lab.receiver, &wire.far, FAR[0])?;
    let netdrop = Tcp::start(bench, &wire.lab, &["rtt", "--format", "text", "--interval", "100ms"])?;
    let counts = || -> Vec<usize> {
        let count = |line: &String| {
            let line = line.split_once(" rtt sample ")?.1;
            line.split_whitespace().find_map(|word| word.strip_prefix("n=")?.parse().ok())
        };
        netdrop.so_far().iter().filter_map(count).collect()
    };
    let (mut all, mut lines) = (0, 0);
    for rounds in [3, 5, 7] {
        talk.rounds(rounds)?;
        all += rounds;
        until("the interval's line", PATIENCE, || {
            let counts = counts();
            ensure!(counts.iter().sum::<usize>() <= all, "more than {all}: {counts:?}");
            Ok((counts.iter().sum::<usize>() == all).then_some(()))
        })?;
        let so_far = counts().len();
        ensure!(so_far > lines, "no line of its own: {:?}", counts());
        lines = so_far;
    }
    let lines = netdrop.end()?;
    let total = format!("# {all} round-trip times in ");
    ensure!(lines.iter().any(|line| line.starts_with(&total)), "{total:?} isn't among {lines:#?}");
    Ok(())
}

/// Who only receives is told nothing of the way, as `--help` says.
fn receiver(bench: &Bench) -> Result<()> {
    let wire = Wire::new(|_| Fate::Passes)?;
    let Talk { mut client, mut server, .. } = Talk::open(&wire.lab.receiver, &wire.far, FAR[0])?;
    let netdrop = Tcp::start(bench, &wire.lab, &["rtt", "--format", "csv"])?;
    for _ in 0..ROUNDS {
        server.write_all(&[1])?;
        client.read_exact(&mut [0])?;
    }
    let rows = rows(&netdrop.end()?)?;
    ensure!(rows.is_empty(), "{rows:#?}");
    Ok(())
}
