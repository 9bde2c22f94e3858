//! What the formats for people say of meaning and noise: lifecycle drops in one line, and a sentence about the top row.

use std::collections::HashSet;

use super::words::Plain;
use crate::knowledge::{self, Class, Entry};
use crate::model::Row;
use crate::units::thousands;

/// The reason that is none.
const NO_REASON: &str = "NOT_SPECIFIED";

/// Rows to show, and a line for those that are folded into it.
#[derive(Debug)]
pub struct Folded {
    /// The rows of loss, in the order they had.
    pub rows: Vec<Row>,
    /// `lifecycle: 1,234 drops at 5 sites, …`, when anything is folded.
    pub line: Option<String>,
}

/// Takes the lifecycle drops, which are no loss, out of the rows, if asked to.
pub fn fold(rows: &[Row], folds: bool) -> Folded {
    let is_noise = |row: &&Row| folds && row.class == Some(Class::Lifecycle);
    let (noise, rows): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(is_noise);
    Folded { rows: rows.into_iter().cloned().collect(), line: (!noise.is_empty()).then(|| line(&noise)) }
}

fn line(noise: &[&Row]) -> String {
    let drops: u64 = noise.iter().map(|row| row.total.packets).sum();
    let sites: HashSet<_> =
        noise.iter().filter_map(|row| row.site.as_ref()).map(|site| site.address).collect();
    let places = match sites.len() {
        0 => format!("in {} rows", noise.len()),
        1 => "at 1 site".to_owned(),
        sites => format!("at {sites} sites"),
    };
    format!("lifecycle: {} drops {places}, no loss; --all-classes shows them", thousands(drops))
}

/// The name and meaning of a row's reason; of its function or trap where there is no reason. `None` where nothing is known.
pub fn sentence(row: &Row) -> Option<String> {
    let named = row.reason.as_ref().map(|reason| reason.name.as_str()).filter(|name| *name != NO_REASON);
    if let Some(trap) = row.site.as_ref().and_then(|site| site.trap.as_ref()) {
        let entry = knowledge::trap(&trap.name)?;
        return Some(format!("{}: {}", Plain(entry.name()), entry.meaning()));
    }
    let entry: &Entry = match named {
        Some(name) => knowledge::reason(name)?,
        None => knowledge::site(row.function()?)?,
    };
    Some(format!("{}: {}", Plain(entry.name()), entry.meaning()))
}
