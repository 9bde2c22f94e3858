//! Time as a daemon of weeks meets it: the wall clock is set, the daemon is stopped for a while, the whole machine stands still. Counts
//! stay exact, intervals are those of a clock that never jumps, times are those of the wall clock as it is.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::lasting::{DROPS, PATIENCE, PORT, Served, drops, told};
use crate::lab::guest::{WallClock, in_guest, stand_still};
use crate::lab::{Lab, Namespace, until};
use crate::netdrop::Netdrop;
use crate::report::Watcher;
use crate::runner::Bench;
use crate::scenario::System;

const HOUR: i64 = 3600;
const COUNT: u64 = 20;
/// Of the daemon's, in settings: its log tells each of them.
const INTERVAL: &str = "200ms";

pub fn table() -> Vec<System> {
    vec![
        System::new("standstill-wall-clock-is-set", wall_clock),
        System::new("standstill-of-the-daemon", of_the_daemon),
        System::new("standstill-of-the-machine", of_the_machine),
    ]
}

/// A daemon that logs everything.
fn logging<'n>(bench: &Bench, namespace: &'n Namespace, capture: &str) -> Result<Served<'n>> {
    let settings = format!(
        "[capture]\ninterval = '{INTERVAL}'\n{capture}[capture.only]\nport = ['{PORT}']\n\
         [log]\nto = ['file']\nfile = 'FOLDER/log'\nsummaries = true\n"
    );
    Served::start(bench, namespace, &settings)
}

/// An hour on, two back, and right again: while a daemon and a `watch` run.
fn wall_clock(bench: &Bench) -> Result<()> {
    let mut clock = WallClock::of_guest()?;
    let lab = Lab::alone()?;
    let started = Instant::now();
    let served = logging(bench, &lab.receiver, "")?;
    let ready = Instant::now();
    // The questions to the daemon are TCP's.
    let netns = lab.receiver.inode().to_string();
    let mut watch = Netdrop::start(&bench.netdrop, &["--netns", &netns, "--proto", "udp"])?;
    let mut sent = 0;
    for step in [0, HOUR, -2 * HOUR, HOUR] {
        clock.step(step)?;
        let at_step = SystemTime::now();
        drops(&lab.receiver, COUNT)?;
        sent += COUNT;
        told(&served, DROPS, &[], sent)?;
        served.lives()?;
        until("the watcher to tell of them", PATIENCE, || {
            Ok((watch.so_far().count(|_| true) >= sent).then_some(()))
        })?;
        for (who, lines) in [("serve", served.log()?), ("watch", watch.drops_so_far())] {
            let last = lines.iter().rfind(|line| line["kind"] == "drop");
            let last = last.with_context(|| format!("{who} tells no drop"))?;
            let off = seconds_between(at_step, last)?;
            ensure!(off.abs() < 60.0, "{who}: a drop after a step of {step} s is {off} s off: {last}");
        }
    }
    drop(clock);
    watch.signal(Signal::SIGINT)?;
    let report = watch.report()?;
    ensure!(report.count(|_| true) == sent, "watch has {} of {sent}", report.count(|_| true));
    judge_intervals(&served, [started, ready], sent)?;
    served.stop().map(drop)
}

/// How far the time of a line is from a moment.
fn seconds_between(from: SystemTime, line: &Value) -> Result<f64> {
    let text = line["time"].as_str().context("a line without a time")?;
    let time: jiff::Timestamp = text.parse().with_context(|| format!("{text} is no time"))?;
    Ok(time.duration_since(from.try_into()?).as_secs_f64())
}

/// The daemon gets no time for a while, as in a cgroup that is frozen, while drops go on: more than its ring has room for.
fn of_the_daemon(bench: &Bench) -> Result<()> {
    const STILL: Duration = Duration::from_secs(5);
    let lab = Lab::alone()?;
    let started = Instant::now();
    let served = logging(bench, &lab.receiver, "rate = 1000000\nring_size = '16K'\n")?;
    let ready = Instant::now();
    drops(&lab.receiver, COUNT)?;
    told(&served, DROPS, &[], COUNT)?;
    served.lives()?;
    kill(served.pid(), Signal::SIGSTOP)?;
    let stopped = Instant::now();
    let flood = bench.flood / 20;
    let batch = flood / 10;
    let mut sent = 0;
    while stopped.elapsed() < STILL || sent < flood {
        if sent < flood {
            drops(&lab.receiver, batch.min(flood - sent))?;
            sent += batch.min(flood - sent);
        }
        std::thread::sleep(STILL / 12);
    }
    kill(served.pid(), Signal::SIGCONT)?;
    let sent = sent + COUNT;
    told(&served, DROPS, &[], sent)?;
    served.lives()?;
    let number = |metric: &str, label: &str| served.metric(metric, &[label]);
    ensure!(number("netdrop_events_lost_total", "stage=\"ring_full\"")? > 0.0, "the ring had room for all");
    judge_accounts(&served)?;
    judge_intervals(&served, [started, ready], sent)?;
    // The drops of the standstill are those of an interval that is as long.
    let longest = summaries(&served)?.into_iter().max().context("no summaries")?;
    ensure!(Duration::from_millis(longest.0) >= STILL, "the longest interval is {} ms", longest.0);
    served.stop().map(drop)
}

/// The whole machine is stopped by its host; its monotonic clock jumps.
fn of_the_machine(bench: &Bench) -> Result<()> {
    in_guest("the machine stands still")?;
    let lab = Lab::alone()?;
    let started = Instant::now();
    let served = logging(bench, &lab.receiver, "")?;
    let ready = Instant::now();
    for sent in [COUNT, 2 * COUNT] {
        drops(&lab.receiver, COUNT)?;
        told(&served, DROPS, &[], sent)?;
        served.lives()?;
        if sent == COUNT {
            stand_still(6)?;
        }
    }
    judge_accounts(&served)?;
    judge_intervals(&served, [started, ready], 2 * COUNT)?;
    served.stop().map(drop)
}

/// Every drop's details went somewhere.
#[expect(clippy::float_cmp, reason = "counts of packets are whole, and far from 2^52")]
fn judge_accounts(served: &Served) -> Result<()> {
    let answer = served.get("/api/v1/summary")?;
    let summary: Value = serde_json::from_str(&answer.body)?;
    let accounts = &summary["accounts"];
    let number = |name: &str| accounts[name].as_f64().with_context(|| format!("no {name}: {accounts}"));
    let went = number("detailed")? + number("sampled_out")? + number("ring_full")? + number("filtered")?;
    ensure!(went == number("seen")?, "they don't add up: {accounts}");
    Ok(())
}

/// The log's intervals are as long as the time that went by, one after the other, and hold each drop once. The first begins between
/// the daemon's start and the moment when it was ready, which are seconds in an emulated guest.
fn judge_intervals(served: &Served, [started, ready]: [Instant; 2], sent: u64) -> Result<()> {
    let summaries = until("the log to have all drops", PATIENCE, || {
        let summaries = summaries(served)?;
        let logged: u64 = summaries.iter().map(|(_, count)| count).sum();
        ensure!(logged <= sent, "{logged} drops are in the log, {sent} happened");
        Ok((logged == sent).then_some(summaries))
    })?;
    let (most, least) = (started.elapsed().as_millis(), ready.elapsed().as_millis());
    let sum: u64 = summaries.iter().map(|(interval, _)| interval).sum();
    ensure!(u128::from(sum) <= most, "intervals of {sum} ms in {most} ms: {summaries:?}");
    ensure!(u128::from(sum) * 2 >= least, "intervals of {sum} ms alone in {least} ms: {summaries:?}");
    Ok(())
}

/// Of the log: milliseconds and drops of each.
fn summaries(served: &Served) -> Result<Vec<(u64, u64)>> {
    let lines = served.log()?;
    let summaries = lines.iter().filter(|line| line["kind"] == "summary");
    let drops = |line: &Value| {
        let rows = line["rows"].as_array().map_or(&[][..], Vec::as_slice);
        rows.iter().filter_map(|row| row["count"].as_u64()).sum::<u64>()
    };
    summaries
        .map(|line| Ok((line["interval_ms"].as_u64().context("a summary without an interval")?, drops(line))))
        .collect()
}
