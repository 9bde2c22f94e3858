//! A reset a line as CSV.

use super::super::columns::{self, Fields};
use super::super::csv::Csv;
use super::{ResetType, of_type};
use crate::model::tcp::{TcpEvent, TcpKind};

/// What only resets have.
const NAMES: [&str; 7] =
    ["direction", "reason", "derived_reason", "state", "answers_flags", "answers_sequence", "meaning"];

/// A reset a line.
pub fn csv() -> Csv {
    Csv::new([&Fields::NAMES[..], &NAMES].concat(), |event, clock| {
        Some([&Fields::of(event, clock)[..], &fields(event)?].concat())
    })
}

fn fields(event: &TcpEvent) -> Option<[String; NAMES.len()]> {
    let what = ResetType::of(event)?;
    let (told, answers) = match &event.kind {
        TcpKind::ResetSent { reason, answers, .. } => (reason.as_deref(), answers.as_ref()),
        _ => (None, None),
    };
    let derived = what.reason.as_deref().filter(|_| !what.told);
    let text = |of: Option<String>| of.unwrap_or_default();
    Some([
        what.direction().into(),
        told.unwrap_or_default().into(),
        derived.unwrap_or_default().trim_matches(['(', ')']).into(),
        text(what.state.map(columns::state)),
        text(answers.map(|segment| segment.flags.to_string())),
        text(answers.map(|segment| segment.sequence.to_string())),
        of_type(&what).into(),
    ])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples::run;
    use super::*;
    use crate::model::Summary;
    use crate::output::Output as _;
    use crate::output::samples::written;

    #[test]
    fn a_header_and_a_line_an_event() {
        let text = written(|out| run(&mut csv(), out));
        assert_snapshot!("csv", text.replace('\r', "␍"));
        let header = written(|out| csv().end(&Summary::default(), out));
        assert_eq!(header.lines().count(), 1);
    }
}
