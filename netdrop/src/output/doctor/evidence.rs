//! A line of evidence.

use crate::doctor::{Drops, Evidence, Moved};
use crate::output::words::Plain;
use crate::units::{rate_of, thousands};

/// What it is, how it stood, where it was read.
pub fn told(evidence: &Evidence) -> [String; 3] {
    let plain = |text: &str| Plain(text).to_string();
    match evidence {
        Evidence::Counter(moved) => {
            let Moved { counter, before, after, rate, read_from, .. } = moved;
            // A few in a long time are few, and not none.
            let rate = match rate_of(*rate) {
                none if none == "0/s" && moved.by() > 0 => "<0.01/s".into(),
                rate => rate,
            };
            let course = format!("{} → {}  ({rate})", thousands(*before), thousands(*after));
            [plain(counter), course, read_from.clone()]
        }
        Evidence::Value { name, value, read_from } => [plain(name), plain(value), read_from.clone()],
        Evidence::Drops(Drops { function, offset, reason, drops, rate, example }) => {
            let offset = offset.map_or(String::new(), |offset| format!("+{offset:#x}"));
            let place = function.as_ref().map_or("drops".into(), |function| format!("{function}{offset}"));
            let reason = reason.as_deref().unwrap_or("drops");
            let example = example.as_ref().map(|one| format!(", as {} > {}", one.source, one.destination));
            let course = format!("{} {reason}  ({})", thousands(*drops), rate_of(*rate));
            [plain(&place), course, format!("netdrop{}", example.unwrap_or_default())]
        }
    }
}
