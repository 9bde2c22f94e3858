//! What explains drops, in short.

use crate::model::Explanation;
use crate::output::words::Plain;

/// What explains drops of a run, below its counts: a sentence each, after an empty line.
pub fn explanations(explanations: &[Explanation]) -> Vec<String> {
    let told = explanations.iter().map(|one| Plain(&one.to_string()).to_string());
    let before = (!explanations.is_empty()).then(String::new);
    before.into_iter().chain(told).collect()
}
