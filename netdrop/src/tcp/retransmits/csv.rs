//! A retransmit a line as CSV.

use super::super::columns::{self, Fields};
use super::super::csv::Csv;
use crate::model::tcp::{TcpEvent, TcpKind};

/// What only retransmits have; what all events have stands before and after.
const NAMES: [&str; 22] = [
    "type",
    "state",
    "sequence",
    "length",
    "segments",
    "attempt",
    "failed_errno",
    "cwnd",
    "ssthresh",
    "srtt_us",
    "rttvar_us",
    "min_rtt_us",
    "mss",
    "congestion_state",
    "algorithm",
    "send_window",
    "packets_out",
    "lost_out",
    "segments_sent",
    "data_segments_sent",
    "retransmits",
    "lost",
];

/// A retransmit a line.
pub fn csv() -> Csv {
    Csv::new([&Fields::NAMES[..], &NAMES].concat(), |event, clock| {
        Some([&Fields::of(event, clock)[..], &fields(event)?].concat())
    })
}

fn fields(event: &TcpEvent) -> Option<[String; NAMES.len()]> {
    let TcpKind::Retransmit { by, segment, attempt, state, failed } = &event.kind else { return None };
    let of = |member: fn(&crate::model::tcp::TcpNumbers) -> u32| {
        event.numbers.as_ref().map_or_else(String::new, |numbers| member(numbers).to_string())
    };
    Some([
        by.to_string(),
        columns::state(*state),
        segment.sequence.to_string(),
        segment.length.to_string(),
        segment.segments.to_string(),
        attempt.to_string(),
        failed.map_or_else(String::new, |errno| errno.to_string()),
        of(|numbers| numbers.cwnd),
        event.ssthresh().map_or_else(String::new, |segments| segments.to_string()),
        of(|numbers| numbers.srtt_us),
        of(|numbers| numbers.rttvar_us),
        event
            .numbers
            .filter(|numbers| numbers.min_rtt_us != u32::MAX)
            .map_or_else(String::new, |numbers| numbers.min_rtt_us.to_string()),
        of(|numbers| numbers.mss),
        of(|numbers| numbers.ca_state.into()),
        event.numbers.as_ref().map_or_else(String::new, columns::algorithm),
        of(|numbers| numbers.send_window),
        of(|numbers| numbers.packets_out),
        of(|numbers| numbers.lost_out),
        of(|numbers| numbers.segments_out),
        of(|numbers| numbers.data_segments_out),
        of(|numbers| numbers.retransmits),
        of(|numbers| numbers.lost),
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
        let fields: Vec<_> = text.lines().map(|line| line.split(',').count()).collect();
        assert!(fields.iter().all(|count| *count == fields[0]), "{fields:?}");
        let header = written(|out| csv().end(&Summary::default(), out));
        assert_eq!(header.lines().count(), 1);
    }
}
