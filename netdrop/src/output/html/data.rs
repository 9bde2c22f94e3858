//! The JSON that a page's script draws.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::About;
use super::advice::{self, Advices};
use super::collect::{Collected, Details, Kind, class, course_name, kind};
use super::findings;
use crate::aggregate::Series;
use crate::knowledge::Class;
use crate::model::{Accounts, Host, Row, Summary, Timestamp};
use crate::order::InOrder as _;
use crate::output::words::{DeviceName, NetnsName, Place, missing};
use crate::output::{Clock, attribution};

/// Kinds of drops that are shown, the most frequent ones.
const KINDS: usize = 1000;
/// Rows, flows, owners and call chains of each.
const SHOWN: usize = 12;
/// Columns of what other counters say.
const WIDTH: usize = 150;

/// All of it.
#[derive(Debug, Serialize)]
pub struct Data<'a> {
    version: &'static str,
    files: &'a [String],
    hosts: &'a [Host],
    runs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    end: String,
    elapsed_ms: u128,
    accounts: Accounts,
    missing: Vec<String>,
    counters: Vec<String>,
    drops: u64,
    bytes: u64,
    estimated: bool,
    timeline: Course<BTreeMap<&'static str, Vec<u64>>>,
    course_step_ms: u128,
    kinds: Vec<Shown>,
    /// What the doctor found.
    findings: Vec<findings::Shown>,
    /// Kinds that are not shown, and their drops.
    left: (usize, u64),
    advice: Advices,
}

#[derive(Debug, Default, Serialize)]
struct Course<T> {
    step_ms: u128,
    counts: T,
}

/// A kind of drop: function and reason.
#[derive(Debug, Serialize)]
struct Shown {
    function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    class: &'static str,
    count: u64,
    bytes: u64,
    estimated: bool,
    course: Vec<u64>,
    places: Listed<Located>,
    /// The findings that explain it, by their places.
    findings: Vec<usize>,
    advice: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    /// Drops that the details stand for.
    weight: u64,
    flows: Listed<Flow>,
    owners: Listed<Named>,
    stacks: Listed<Chain>,
    samples: Vec<serde_json::Value>,
    /// Packets with details.
    sampled: u64,
}

/// The largest, and how many drops are in none of them.
#[derive(Debug, Serialize)]
struct Listed<T> {
    rows: Vec<T>,
    rest: u64,
}

#[derive(Debug, Serialize)]
struct Located {
    site: String,
    device: String,
    netns: String,
    protocol: String,
    count: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Flow {
    source: String,
    destination: String,
    protocol: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Chain {
    frames: Vec<String>,
    count: u64,
}

impl<'a> Data<'a> {
    /// Of what was collected, and the end of all runs.
    pub fn new(collected: Collected, end: &Summary, about: About<'a>) -> Self {
        let Collected { mut kinds, classes, courses, start, findings, .. } = collected;
        let mut advice = Advices::new();
        let mut groups = groups(&end.rows);
        let left = groups.split_off(groups.len().min(KINDS));
        let left_drops = left.iter().map(|(_, rows)| total(rows).0).sum();
        let shown = groups.iter().map(|(kind, rows)| {
            let details = kinds.remove(kind).unwrap_or_default();
            let shown = shown(kind, rows, details, courses.as_ref(), &mut advice);
            Shown { findings: findings.of(rows), ..shown }
        });
        let shown = shown.collect();
        let (drops, bytes) = total(&end.rows.iter().collect::<Vec<_>>());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            files: about.files,
            hosts: about.hosts,
            runs: about.runs,
            start: start.map(time),
            end: time(end.time),
            elapsed_ms: end.elapsed.as_millis(),
            accounts: end.accounts,
            missing: missing(&end.accounts),
            counters: {
                let tcp = end.tcp.iter().flat_map(|tcp| crate::tcp::digest::lines(tcp));
                attribution::lines(&end.attribution, WIDTH).into_iter().chain(tcp).collect()
            },
            drops,
            bytes,
            estimated: end.rows.iter().any(|row| row.estimated),
            timeline: classes.as_ref().map(timeline).unwrap_or_default(),
            course_step_ms: courses.map_or(0, |courses| courses.step().as_millis()),
            kinds: shown,
            findings: findings.into_shown(),
            left: (left.len(), left_drops),
            advice,
        }
    }
}

/// Rows by kind, the most drops first.
fn groups(rows: &[Row]) -> Vec<(Kind, Vec<&Row>)> {
    let mut groups: HashMap<Kind, Vec<&Row>> = HashMap::new();
    for row in rows.iter().filter(|row| row.counts.packets > 0) {
        groups.entry(kind(row)).or_default().push(row);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.order_by(|a, b| total(&b.1).cmp(&total(&a.1)).then_with(|| a.0.cmp(&b.0)));
    groups
}

/// Drops and bytes.
fn total(rows: &[&Row]) -> (u64, u64) {
    let add = |(packets, bytes): (u64, u64), row: &&Row| {
        (packets.saturating_add(row.counts.packets), bytes.saturating_add(row.counts.bytes))
    };
    rows.iter().fold((0, 0), add)
}

fn shown(
    kind: &Kind,
    rows: &[&Row],
    details: Details,
    courses: Option<&Series>,
    advice: &mut Advices,
) -> Shown {
    let (count, bytes) = total(rows);
    let Details { weight, samples, flows, owners, stacks, line } = details;
    let (flows, other_flows) = flows.into_largest(SHOWN);
    let (owners, other_owners) = owners.into_largest(SHOWN);
    let (stacks, other_stacks) = stacks.into_largest(SHOWN / 4);
    let flow = |((source, destination, protocol), count)| Flow { source, destination, protocol, count };
    let hidden = rows.get(SHOWN..).map_or(0, |hidden| total(hidden).0);
    Shown {
        function: kind.0.clone(),
        reason: kind.1.clone(),
        class: rows.first().map_or(Class::Unknown, |row| class(row)).as_str(),
        count,
        bytes,
        estimated: rows.iter().any(|row| row.estimated),
        course: courses.map(|courses| courses.of(&course_name(kind))).unwrap_or_default(),
        places: Listed { rows: rows.iter().take(SHOWN).map(|row| located(row)).collect(), rest: hidden },
        findings: Vec::new(),
        advice: rows.first().map(|row| advice::of(row, advice)).unwrap_or_default(),
        line,
        weight,
        flows: Listed { rows: flows.into_iter().map(flow).collect(), rest: other_flows },
        owners: Listed {
            rows: owners.into_iter().map(|(name, count)| Named { name, count }).collect(),
            rest: other_owners,
        },
        stacks: Listed {
            rows: stacks.into_iter().map(|(frames, count)| Chain { frames, count }).collect(),
            rest: other_stacks,
        },
        sampled: samples.seen(),
        // Each was read as a line before.
        samples: samples.into_kept().iter().filter_map(|line| serde_json::from_slice(line).ok()).collect(),
    }
}

fn located(row: &Row) -> Located {
    let text = |value: Option<String>| value.unwrap_or_default();
    Located {
        site: text(row.site.as_deref().map(|site| Place(site).to_string())),
        device: text(row.device.as_deref().map(|device| DeviceName(device).to_string())),
        netns: text(row.netns.as_deref().map(|netns| NetnsName(netns).to_string())),
        protocol: text(row.protocol.map(|protocol| protocol.to_string())),
        count: row.counts.packets,
        bytes: row.counts.bytes,
    }
}

fn timeline(classes: &Series) -> Course<BTreeMap<&'static str, Vec<u64>>> {
    let counts = Class::ALL.into_iter().map(|class| (class.as_str(), classes.of(class.as_str())));
    let counts = counts.filter(|(_, counts)| counts.iter().any(|count| *count > 0));
    Course { step_ms: classes.step().as_millis(), counts: counts.collect() }
}

fn time(time: Timestamp) -> String {
    let mut text = Vec::new();
    Clock::utc().push(time, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
