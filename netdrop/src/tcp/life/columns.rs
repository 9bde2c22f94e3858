//! The columns of the lines: what fits a terminal, or all of them with exact numbers.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::words::{
    address, address_in, direction, error_name, milliseconds, owner, owner_in, short_time, workload,
};
use crate::model::tcp::{CloseKind, TcpEvent, TcpKind};
use crate::output::columns::cut;
use crate::output::words::{DeviceName, NetnsName};
use crate::units::bytes;

/// A connection that has ended, and what isn't in its event.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// The event.
    pub event: &'a TcpEvent,
    /// When, as the line tells it.
    pub time: &'a str,
    /// How it ended.
    pub kind: CloseKind,
    /// The errno, where there is one.
    pub error: Option<u32>,
    /// How long it has been watched, where its beginning wasn't seen: it is at least so old.
    pub watched: Option<Duration>,
}

/// One column.
pub struct Column {
    title: &'static str,
    width: usize,
    right: bool,
    /// Which are left out first where room is short: the highest; 0 never.
    rank: u8,
    /// The text, in so many columns if it may be cut.
    cell: fn(&Ended<'_>, usize) -> String,
}

const fn left(title: &'static str, width: usize, rank: u8, cell: fn(&Ended<'_>, usize) -> String) -> Column {
    Column { title, width, right: false, rank, cell }
}

const fn right(title: &'static str, width: usize, rank: u8, cell: fn(&Ended<'_>, usize) -> String) -> Column {
    Column { title, width, right: true, rank, cell }
}

/// For a terminal: 80 columns hold those of rank 0.
static TABLE: [Column; 19] = [
    left("TIME", 8, 3, |ended, _| ended.time.to_owned()),
    left("OWNER", 13, 0, |ended, width| owner_in(ended.event.owner.as_ref(), width)),
    left("LOCAL", 6, 0, |ended, _| {
        ended.event.local.and_then(|local| local.port).map_or_else(|| "-".into(), |port| format!(":{port}"))
    }),
    left("LOCAL", 21, 4, |ended, width| address_in(ended.event.local, width)),
    left(" ", 1, 0, |ended, _| direction(ended.event).to_owned()),
    left("REMOTE", 18, 0, |ended, width| address_in(ended.event.remote, width)),
    right("LASTED", 8, 0, lasted),
    right("SENT", 6, 0, |ended, _| short_bytes(ended.event.payload().map(|payload| payload.sent))),
    right("RECV'D", 6, 0, |ended, _| short_bytes(ended.event.payload().map(|payload| payload.received))),
    right("RETR", 4, 1, |ended, _| number(ended, |numbers| numbers.retransmits)),
    right("SRTT", 6, 2, |ended, _| ended.event.srtt().map_or_else(unknown, short_time)),
    right("MINRTT", 6, 7, |ended, _| ended.event.min_rtt().map_or_else(unknown, short_time)),
    right("RATE", 8, 5, |ended, _| {
        ended.event.delivery_rate().map_or_else(unknown, |rate| short_bytes(Some(rate)) + "/s")
    }),
    right("LOST", 4, 6, |ended, _| number(ended, |numbers| numbers.lost)),
    right("CWND", 5, 8, |ended, _| number(ended, |numbers| numbers.cwnd)),
    right("REORD", 5, 11, |ended, _| number(ended, |numbers| numbers.reordering_seen)),
    left("ALGO", 6, 9, |ended, width| cut(&ended.event.algorithm().unwrap_or_else(unknown), width)),
    left("NETNS", 10, 10, |ended, width| cut(&netns(ended), width)),
    left("CLOSE", 14, 0, |ended, _| close(ended)),
];

/// For a pipe: the owner comes last, as its name may hold spaces.
static TEXT: [Column; 23] = [
    left("TIME", 32, 0, |ended, _| ended.time.to_owned()),
    left("CLOSE", 14, 0, |ended, _| ended.kind.as_str().to_owned()),
    left("ERROR", 12, 0, |ended, _| ended.error.map_or_else(unknown, error_name)),
    left("LOCAL", 21, 0, |ended, _| address(ended.event.local)),
    left("O", 1, 0, |ended, _| direction(ended.event).to_owned()),
    left("REMOTE", 21, 0, |ended, _| address(ended.event.remote)),
    right("MS", 12, 0, exactly_lasted),
    right("SENT", 10, 0, |ended, _| exact(ended.event.payload().map(|payload| payload.sent))),
    right("RECEIVED", 10, 0, |ended, _| exact(ended.event.payload().map(|payload| payload.received))),
    right("ACKED", 10, 0, |ended, _| exact(ended.event.payload().map(|payload| payload.acked))),
    right("SEGS-OUT", 8, 0, |ended, _| number(ended, |numbers| numbers.segments_out)),
    right("SEGS-IN", 7, 0, |ended, _| number(ended, |numbers| numbers.segments_in)),
    right("RETRANS", 7, 0, |ended, _| number(ended, |numbers| numbers.retransmits)),
    right("LOST", 5, 0, |ended, _| number(ended, |numbers| numbers.lost)),
    right("REORD", 5, 0, |ended, _| number(ended, |numbers| numbers.reordering_seen)),
    right("SRTT-MS", 9, 0, |ended, _| ended.event.srtt().map_or_else(unknown, milliseconds)),
    right("MINRTT-MS", 9, 0, |ended, _| ended.event.min_rtt().map_or_else(unknown, milliseconds)),
    right("CWND", 5, 0, |ended, _| number(ended, |numbers| numbers.cwnd)),
    right("RATE-B/S", 11, 0, |ended, _| exact(ended.event.delivery_rate())),
    left("ALGO", 6, 0, |ended, _| ended.event.algorithm().unwrap_or_else(unknown)),
    left("DEVICE", 8, 0, |ended, _| {
        ended.event.device.as_ref().map_or_else(unknown, |device| DeviceName(device).to_string())
    }),
    left("NETNS", 8, 0, |ended, _| netns(ended)),
    left("OWNER", 0, 0, whose),
];

/// The columns that were chosen.
pub struct Layout {
    columns: Vec<&'static Column>,
    /// What no line is wider than.
    width: usize,
    /// Whether cells may be wider than their column.
    whole: bool,
}

impl Layout {
    /// Those that fit a terminal; a line is at most so wide.
    pub fn table(width: usize) -> Self {
        // No gap after the last column.
        let mut left = width + 1;
        let mut taken: Vec<&Column> = Vec::new();
        for rank in 0..=u8::try_from(TABLE.len()).unwrap_or(u8::MAX) {
            for column in TABLE.iter().filter(|column| column.rank == rank) {
                // The whole address takes the place of its port.
                let instead = taken.iter().position(|other| other.title == column.title);
                let needs = column.width + 1 - instead.map_or(0, |at| taken[at].width + 1);
                if rank == 0 || needs <= left {
                    instead.map(|at| taken.remove(at));
                    left = left.saturating_sub(needs);
                    taken.push(column);
                }
            }
        }
        let columns =
            TABLE.iter().filter(|column| taken.iter().any(|other| std::ptr::eq(*other, *column))).collect();
        Self { columns, width, whole: false }
    }

    /// All of them.
    pub fn text() -> Self {
        Self { columns: TEXT.iter().collect(), width: usize::MAX, whole: true }
    }

    /// The titles.
    pub fn titles(&self) -> String {
        self.join(|column| column.title.to_owned())
    }

    /// A connection's line.
    pub fn line(&self, ended: &Ended<'_>) -> String {
        let room = |column: &Column| if self.whole { usize::MAX } else { column.width };
        self.join(|column| (column.cell)(ended, room(column)))
    }

    fn join(&self, cell: impl Fn(&Column) -> String) -> String {
        let padded = |column: &&Column| {
            let text = cell(column);
            let padding =
                " ".repeat(column.width.saturating_sub(unicode_width::UnicodeWidthStr::width(&*text)));
            if column.right { padding + &text } else { text + &padding }
        };
        let line = self.columns.iter().map(padded).collect::<Vec<_>>().join(" ");
        cut(line.trim_end(), self.width)
    }
}

fn unknown() -> String {
    "-".into()
}

fn exact(number: Option<u64>) -> String {
    number.map_or_else(unknown, |number| number.to_string())
}

fn short_bytes(count: Option<u64>) -> String {
    count.map_or_else(unknown, |count| bytes(count).replace(' ', ""))
}

fn number(ended: &Ended<'_>, of: fn(&crate::model::tcp::TcpNumbers) -> u32) -> String {
    exact(ended.event.numbers.as_ref().map(|numbers| of(numbers).into()))
}

fn netns(ended: &Ended<'_>) -> String {
    ended.event.netns.as_ref().map_or_else(unknown, |netns| NetnsName(netns).to_string())
}

/// How long it lasted, or that it was at least so long.
fn lasted(ended: &Ended<'_>, _: usize) -> String {
    match (ended.event.lasted(), ended.watched) {
        (Some(time), _) => short_time(time),
        (None, Some(time)) => format!(">={}", short_time(time)),
        (None, None) => unknown(),
    }
}

fn exactly_lasted(ended: &Ended<'_>, _: usize) -> String {
    match (ended.event.lasted(), ended.watched) {
        (Some(time), _) => milliseconds(time),
        (None, Some(time)) => format!(">={}", milliseconds(time)),
        (None, None) => unknown(),
    }
}

/// How it ended, with the errno where that says more.
fn close(ended: &Ended<'_>) -> String {
    let expected = match ended.kind {
        CloseKind::Fin | CloseKind::ResetSent | CloseKind::ResetReceived => None,
        CloseKind::Timeout | CloseKind::NoAnswer => Some(libc::ETIMEDOUT),
        CloseKind::Refused => Some(libc::ECONNREFUSED),
        CloseKind::NotOpened | CloseKind::Other => Some(0),
    };
    match ended.error.filter(|error| expected.is_some_and(|code| code.cast_unsigned() != *error)) {
        Some(error) => format!("{} {}", ended.kind, error_name(error)),
        None => ended.kind.to_string(),
    }
}

/// `curl(4242) by connect in docker:web (x12)`
fn whose(ended: &Ended<'_>, _: usize) -> String {
    let event = ended.event;
    let mut text = owner(event.owner.as_ref());
    if let Some(known) = event.owner.as_ref().filter(|_| text != "-") {
        text += " by ";
        text += known.by.as_str();
    }
    let place = workload(event.owner.as_ref().map(|known| &*known.owner));
    if place != "-" && !text.contains(&place) {
        text += " in ";
        text += &place;
    }
    if event.weight > 1 {
        let _ = write!(text, " (x{})", event.weight);
    }
    text
}

/// What an event of the end of a connection tells; nothing of others.
pub fn end(event: &TcpEvent) -> Option<(CloseKind, Option<u32>)> {
    match event.kind {
        TcpKind::Close { kind, error, .. } => Some((kind, error)),
        _ => None,
    }
}
