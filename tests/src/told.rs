//! What `netdrop tcp … --format json` tells: its events and its end, checked against the schema.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::lab::{Lab, until};
use crate::netdrop::schema;
use crate::runner::Bench;
use crate::tcp::Tcp;

/// Generous, because a virtual machine without acceleration is slow.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// A run's events, and its last line.
pub struct Told {
    pub events: Vec<Value>,
    pub end: Value,
}

/// `netdrop tcp <arguments> --format json` while `work` runs in the lab's namespace, until it has told `count` events; what `work` gave
/// is kept until then. More than these are found at its end.
pub fn told<T: Send>(
    bench: &Bench,
    lab: &Lab,
    arguments: &[&str],
    count: usize,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<Told> {
    let netdrop = start(bench, lab, arguments)?;
    let _kept = lab.receiver.enter(work)?;
    wait_for(&netdrop, count)?;
    end(bench, netdrop)
}

/// Starts it.
pub fn start(bench: &Bench, lab: &Lab, arguments: &[&str]) -> Result<Tcp> {
    let arguments: Vec<&str> =
        arguments.iter().copied().chain(["--format", "json", "--interval", "200ms"]).collect();
    Tcp::start(bench, lab, &arguments)
}

/// Waits until it has told so many events.
pub fn wait_for(netdrop: &Tcp, count: usize) -> Result<()> {
    let told = || netdrop.so_far().iter().filter(|line| is_event(line)).count();
    until(&format!("{count} events"), PATIENCE, || Ok((told() >= count).then_some(())))
        .with_context(|| format!("{} of {count} events came: {:#?}", told(), netdrop.so_far()))
}

/// Waits until it ends by itself, by its `--duration`.
pub fn of_a_while(bench: &Bench, lab: &Lab, arguments: &[&str]) -> Result<Told> {
    told_by(bench, &start(bench, lab, arguments)?.wait()?)
}

/// Whether it is the line of an event.
pub fn is_event(line: &str) -> bool {
    !["summary", "end", "start", "tcp.rtt"].iter().any(|kind| line.contains(&format!(r#""kind":"{kind}""#)))
}

/// Ends it; its accounts must add up.
pub fn end(bench: &Bench, netdrop: Tcp) -> Result<Told> {
    told_by(bench, &netdrop.end()?)
}

fn told_by(bench: &Bench, lines: &[String]) -> Result<Told> {
    let mut values = checked(bench, lines)?;
    let end = values.pop().filter(|line| line["kind"] == "end").context("no `end` line at the end")?;
    adds_up(&end)?;
    let kinds = ["tcp.retransmit", "tcp.reset", "tcp.state", "tcp.close"];
    let events = values.into_iter().filter(|line| kinds.iter().any(|kind| line["kind"] == *kind)).collect();
    Ok(Told { events, end })
}

/// Lines of JSON that the schema holds for.
pub fn checked(bench: &Bench, lines: &[String]) -> Result<Vec<Value>> {
    let schema = schema(&bench.netdrop)?;
    let check = |line: &String| {
        let value: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        if let Err(error) = schema.validate(&value) {
            bail!("against the schema: {error} at {}: {line}", error.instance_path());
        }
        Ok(value)
    };
    lines.iter().map(check).collect()
}

/// Each event went somewhere, once.
fn adds_up(end: &Value) -> Result<()> {
    let account = |name: &str| end["tcp"]["accounts"][name].as_u64();
    let parts = ["detailed", "sampled_out", "ring_full", "filtered"].map(account);
    let sum: Option<u64> = parts.into_iter().sum();
    ensure!(sum.is_some() && sum == account("seen"), "{:?}", end["tcp"]["accounts"]);
    Ok(())
}

impl Told {
    /// The events that hold all this, by JSON pointer.
    pub fn with(&self, wanted: &[(&str, &str)]) -> Vec<&Value> {
        self.events.iter().filter(|event| holds(event, wanted)).collect()
    }

    /// The one event that holds all this.
    pub fn one(&self, wanted: &[(&str, &str)]) -> Result<&Value> {
        let found = self.with(wanted);
        ensure!(found.len() == 1, "{} events with {wanted:?} in {:#?}", found.len(), self.events);
        Ok(found[0])
    }

    /// An account at the end.
    pub fn account(&self, name: &str) -> u64 {
        self.end["tcp"]["accounts"][name].as_u64().unwrap_or(u64::MAX)
    }

    /// The exact count of a kind of event at the end, of all details or of one.
    pub fn count(&self, event: &str, detail: Option<&str>) -> u64 {
        counted(&self.end, event, detail)
    }

    /// How many events the lines stand for.
    pub fn weights(&self) -> u64 {
        self.events.iter().filter_map(|event| event["weight"].as_u64()).sum()
    }
}

/// The exact count of a kind of event in a summary or an end.
pub fn counted(line: &Value, event: &str, detail: Option<&str>) -> u64 {
    let rows = line["tcp"]["counts"].as_array().into_iter().flatten();
    rows.filter(|row| row["event"] == event && detail.is_none_or(|detail| row["detail"] == detail))
        .filter_map(|row| row["count"].as_u64())
        .sum()
}

/// Whether a line holds all this, by JSON pointer; `""` is what isn't there.
pub fn holds(line: &Value, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(pointer, wanted)| match line.pointer(pointer) {
        None | Some(Value::Null) => wanted.is_empty(),
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(is)) => is.to_string().as_str() == *wanted,
        Some(Value::Number(number)) => number.to_string().as_str() == *wanted,
        Some(_) => false,
    })
}

/// The same, as a test.
pub fn expect(line: &Value, wanted: &[(&str, &str)]) -> Result<()> {
    for one in wanted {
        ensure!(
            holds(line, &[*one]),
            "{} is {:?} instead of {:?}: {line}",
            one.0,
            line.pointer(one.0),
            one.1
        );
    }
    Ok(())
}
