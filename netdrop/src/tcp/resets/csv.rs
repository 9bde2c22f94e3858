//! A reset a line as CSV (RFC 4180): a header that never changes; what isn't known is empty. Times are UTC.

use super::super::columns::{self, Fields};
use super::{ResetType, meaning};
use crate::model::tcp::{TcpEvent, TcpKind};
use crate::model::{Drop, Summary};
use crate::output::csv::record;
use crate::output::{Clock, Output};

/// What only resets have.
const NAMES: [&str; 8] = [
    "direction",
    "reason",
    "derived_reason",
    "state",
    "answers_flags",
    "answers_sequence",
    "answers_length",
    "meaning",
];

/// The CSV format.
#[derive(Debug)]
pub struct Csv {
    clock: Clock,
    headed: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self { clock: Clock::utc(), headed: false }
    }
}

impl Csv {
    fn head(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.headed, true) {
            record(Fields::NAMES.into_iter().chain(NAMES), out);
        }
    }
}

impl Output for Csv {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        if let Some(own) = fields(event) {
            self.head(out);
            let common = Fields::of(event, &mut self.clock);
            record(common.into_iter().chain(own), out);
        }
    }

    fn summary(&mut self, _: &Summary, out: &mut Vec<u8>) {
        self.head(out);
    }

    fn end(&mut self, _: &Summary, out: &mut Vec<u8>) {
        self.head(out);
    }
}

fn fields(event: &TcpEvent) -> Option<[String; NAMES.len()]> {
    let (what, meaning) = (ResetType::of(event)?, meaning(event)?);
    let (told, answers) = match &event.kind {
        TcpKind::ResetSent { reason, answers, .. } => (reason.as_deref(), answers.as_ref()),
        _ => (None, None),
    };
    let derived = meaning.reason.as_deref().filter(|_| !meaning.told);
    let text = |of: Option<String>| of.unwrap_or_default();
    Some([
        what.direction().into(),
        told.unwrap_or_default().into(),
        derived.unwrap_or_default().trim_matches(['(', ')']).into(),
        text(what.state.map(columns::state)),
        text(answers.map(|segment| segment.flags.to_string())),
        text(answers.map(|segment| segment.sequence.to_string())),
        text(answers.map(|segment| segment.length.to_string())),
        meaning.text.into(),
    ])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples::run;
    use super::*;
    use crate::output::samples::written;

    #[test]
    fn a_header_and_a_line_an_event() {
        let text = written(|out| run(&mut Csv::default(), out));
        assert_snapshot!("csv", text.replace('\r', "␍"));
        let header = written(|out| Csv::default().end(&Summary::default(), out));
        assert_eq!(header.lines().count(), 1);
    }
}
