//! What a page shows of the drops that pass by: details of each kind of drop, and the course of the counts. Bounded, however long the recording
//! is.

use std::collections::HashMap;
use std::time::Duration;

use super::findings::Findings;
use super::thin::Thinned;
use super::top::Top;
use crate::aggregate::Series;
use crate::knowledge::Class;
use crate::model::{Drop, Explanation, Row, Site, Summary, Timestamp};
use crate::output::histogram;
use crate::output::words::Address;
use crate::recording::Listener;

/// Kinds of drops whose details are kept.
pub const KINDS: usize = 400;
/// Sampled packets of each.
pub const SAMPLES: usize = 20;
/// Bytes of a sampled packet's line; netdrop's own have some hundred.
const LONGEST: usize = 16 << 10;
/// Flows, owners and call chains that are told apart while reading, for each kind.
const APART: usize = 512;
/// Steps of the timeline, and of a kind's course.
const STEPS: [usize; 2] = [240, 60];
/// Before the first summary tells better.
const STEP: Duration = Duration::from_secs(1);

/// A kind of drop: function and reason.
pub type Kind = (String, Option<String>);

/// Everything that is collected.
#[derive(Debug, Default)]
pub struct Collected {
    /// Details of each kind.
    pub kinds: HashMap<Kind, Details>,
    /// Details of kinds that there was no room for.
    pub without_room: u64,
    /// Counts by class.
    pub classes: Option<Series>,
    /// Counts by kind, under [`course_name`].
    pub courses: Option<Series>,
    /// When the first interval began.
    pub start: Option<Timestamp>,
    /// What the doctor found.
    pub findings: Findings,
}

/// Details of one kind.
#[derive(Debug)]
pub struct Details {
    /// Drops that details stand for.
    pub weight: u64,
    /// Some of the packets, as their lines tell.
    pub samples: Thinned<Vec<u8>>,
    /// Lines that were too long to be kept.
    pub flows: Top<(String, String, String)>,
    /// Processes that have the sockets.
    pub owners: Top<String>,
    /// Call chains.
    pub stacks: Top<Vec<String>>,
    /// The source line.
    pub line: Option<String>,
}

impl Default for Details {
    fn default() -> Self {
        Self {
            weight: 0,
            samples: Thinned::new(SAMPLES),
            flows: Top::new(APART),
            owners: Top::new(APART),
            stacks: Top::new(APART / 4),
            line: None,
        }
    }
}

impl Listener for Collected {
    fn drop(&mut self, drop: &Drop<'_>, line: &[u8]) {
        self.start.get_or_insert(drop.time);
        let kind = kind_of(drop.site, drop.reason.map(|reason| reason.name.as_str()));
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            self.without_room = self.without_room.saturating_add(drop.weight);
            return;
        }
        self.kinds.entry(kind).or_default().add(drop, line);
    }

    fn summary(&mut self, summary: &Summary) {
        let began = summary.time.0.saturating_sub(u64::try_from(summary.interval.as_nanos()).unwrap_or(0));
        let start = self.start.get_or_insert(Timestamp(began));
        *start = (*start).min(Timestamp(began));
        let step = if summary.interval.is_zero() { STEP } else { summary.interval };
        let [classes, courses] = [&mut self.classes, &mut self.courses]
            .into_iter()
            .zip(STEPS)
            .map(|(series, steps)| series.get_or_insert_with(|| Series::with_steps(step, steps)))
            .collect::<Vec<_>>()
            .try_into()
            .expect("two of two");
        let counts = || summary.rows.iter().map(|row| (row, row.counts.packets));
        classes.add(summary.interval, counts().map(|(row, count)| (class(row).as_str(), count)));
        let names: Vec<(String, u64)> =
            counts().map(|(row, count)| (course_name(&kind(row)), count)).collect();
        courses.add(summary.interval, names.iter().map(|(name, count)| (name.as_str(), *count)));
    }

    fn finding(&mut self, finding: &Explanation, line: &[u8]) {
        self.findings.add(finding, line);
    }
}

impl Details {
    fn add(&mut self, drop: &Drop<'_>, line: &[u8]) {
        self.weight = self.weight.saturating_add(drop.weight);
        if line.len() <= LONGEST {
            self.samples.offer(|| line.to_vec());
        }
        if let (Some(source), Some(destination)) = (drop.packet.source, drop.packet.destination) {
            let flow = (
                Address(source).to_string(),
                Address(destination).to_string(),
                drop.packet.protocol.to_string(),
            );
            self.flows.add(flow, drop.weight);
        }
        if let Some(owner) = drop.context.owner.and_then(crate::model::Owner::first) {
            self.owners.add(owner.to_string(), drop.weight);
        }
        if !drop.context.stack.is_empty() {
            self.stacks.add(drop.context.stack.to_vec(), drop.weight);
        }
        if self.line.is_none() {
            self.line = drop.site.source.as_ref().map(|source| source.line.clone());
        }
    }
}

/// The kind of a row's drops.
pub fn kind(row: &Row) -> Kind {
    (histogram::function(row).to_owned(), row.reason.as_ref().map(|reason| reason.name.clone()))
}

/// The class of a row's drops.
pub fn class(row: &Row) -> Class {
    row.class.unwrap_or(Class::Unknown)
}

/// Under which a kind's course is kept.
pub fn course_name((function, reason): &Kind) -> String {
    format!("{function}\n{}", reason.as_deref().unwrap_or_default())
}

fn kind_of(site: &Site, reason: Option<&str>) -> Kind {
    let site = Some(std::sync::Arc::new(site.clone()));
    (histogram::function(&Row { site, ..Row::default() }).to_owned(), reason.map(str::to_owned))
}
