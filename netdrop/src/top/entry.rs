//! The rows of a pane: a summary's, summed by what the pane tells apart.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::pane::Pane;
use crate::knowledge::Class;
use crate::model::{Counts, Reason, Row, Site};

/// Intervals that a trend goes back.
pub const TREND: usize = 60;
/// Different things that a column remembers of the rows behind one entry; it shows fewer.
const VALUES: usize = 16;
const SHOWN: usize = 2;

/// A row of a pane.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// What tells it from others in its pane, now and later.
    pub key: String,
    /// What it says in each column of text.
    pub cells: Vec<String>,
    /// All that it is found by, in lower case.
    pub words: String,
    /// The class, where all its drops are of one.
    pub class: Option<Class>,
    /// Drops and bytes of the last interval.
    pub interval: Counts,
    /// Since the start, or since it was cleared.
    pub total: Counts,
    /// Whether the counts are estimates.
    pub estimated: bool,
    /// Whether it sums what no other entry stands for.
    pub other: bool,
    /// Where the most of its drops happened, and why.
    pub site: Option<Arc<Site>>,
    /// See [`Entry::site`].
    pub reason: Option<Arc<Reason>>,
    /// The key of that in the pane of sites.
    pub site_key: String,
    /// Drops of each of the last intervals, the latest last.
    pub trend: VecDeque<u64>,
}

/// An entry under way.
struct Group {
    entry: Entry,
    columns: Vec<Vec<String>>,
}

/// Sums `rows`. `before` are the pane's entries until now, whose trends go on: by a step, or as they are.
pub fn tally<'r>(
    pane: Pane,
    rows: impl IntoIterator<Item = &'r Row>,
    before: Vec<Entry>,
    step: bool,
) -> Vec<Entry> {
    let mut trends: HashMap<String, VecDeque<u64>> =
        before.into_iter().map(|entry| (entry.key, entry.trend)).collect();
    let mut places = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        let (key, values) = pane.tell(row);
        let place = *places.entry(key).or_insert_with_key(|key| {
            groups.push(Group::new(key, row, trends.remove(key).unwrap_or_default()));
            groups.len() - 1
        });
        groups[place].add(row, values);
    }
    groups.into_iter().map(|group| group.finish(pane, step)).collect()
}

impl Group {
    fn new(key: &str, row: &Row, trend: VecDeque<u64>) -> Self {
        let entry = Entry {
            key: key.to_owned(),
            class: row.class,
            other: row.other,
            site: row.site.clone(),
            reason: row.reason.clone(),
            site_key: super::pane::site_key(row),
            trend,
            ..Entry::default()
        };
        Self { entry, columns: Vec::new() }
    }

    fn add(&mut self, row: &Row, values: Vec<String>) {
        let entry = &mut self.entry;
        entry.interval += row.counts;
        entry.total += row.total;
        entry.estimated |= row.estimated;
        entry.class = entry.class.filter(|class| row.class == Some(*class));
        self.columns.resize(values.len().max(self.columns.len()), Vec::new());
        for (column, value) in self.columns.iter_mut().zip(values) {
            if !value.is_empty() && column.len() < VALUES && !column.contains(&value) {
                column.push(value);
            }
        }
    }

    fn finish(self, pane: Pane, step: bool) -> Entry {
        let Self { mut entry, mut columns } = self;
        columns.resize(pane.columns().len(), Vec::new());
        let class = entry.class.map_or("", Class::as_str);
        let words = columns.iter().flatten().map(String::as_str).chain([class]);
        entry.words = words.collect::<Vec<_>>().join("\n").to_lowercase();
        entry.cells = columns.iter().map(|values| cell(values)).collect();
        if step {
            entry.trend.push_back(entry.interval.packets);
            let over = entry.trend.len().saturating_sub(TREND);
            entry.trend.drain(..over);
        }
        entry
    }
}

/// `lo`, `lo, eth0`, `lo, eth0 +3`.
fn cell(values: &[String]) -> String {
    let shown = values.len().min(SHOWN);
    let text = values[..shown].join(", ");
    match values.len() - shown {
        0 => text,
        more => format!("{text} +{more}"),
    }
}
