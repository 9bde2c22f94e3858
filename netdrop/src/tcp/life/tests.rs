use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use netdrop_common::tcp::{TcpTotal, kind};
use netdrop_common::tcp_state;
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::model::tcp::{
    Connection, KnownBy, Opened, TcpAccounts, TcpCount, TcpKind, TcpNumbers, TcpOwner, TcpSummary,
};
use crate::model::{Holding, Netns, Owner, Process};
use crate::output::samples::written;
use crate::tcp::samples::{self, endpoint};

const START: Timestamp = Timestamp(1_795_340_614_000_000_000);

fn utc() -> Clock {
    Clock::new(jiff::tz::TimeZone::UTC, 6)
}

fn table(width: usize) -> Table {
    Table::new(View { width, height: 24, color: false }, utc(), START)
}

fn text() -> Text {
    Text::new(false, utc(), START)
}

fn close(kind: CloseKind, from: u8, error: Option<u32>) -> TcpKind {
    TcpKind::Close { kind, from, error }
}

/// curl's download, ended by both sides.
fn fin() -> TcpEvent {
    let mut event = samples::event(close(CloseKind::Fin, tcp_state::FIN_WAIT2, None));
    let numbers = event.numbers.as_mut().unwrap();
    // SYN and FIN are in it.
    (numbers.bytes_acked, numbers.snd_una, numbers.snd_nxt) = (1526, 2000, 2000);
    (event.connection.fin_sent, event.connection.fin_received) = (true, true);
    event
}

/// A server's side, reset by its client, that began before netdrop did.
fn reset() -> TcpEvent {
    let process = Process { pid: 17, command: "a long name".into(), holding: Holding::Closed };
    let owner = Arc::new(Owner { processes: vec![process], ..Owner::default() });
    TcpEvent {
        local: Some(endpoint("[2001:db8::1]:443")),
        remote: Some(endpoint("[2001:db8:1234:5678:9abc:def0:1234:5678]:50000")),
        netns: Some(Arc::new(Netns { inode: 4_026_532_000, name: Some("web".into()), ..Netns::default() })),
        owner: Some(TcpOwner { owner, by: KnownBy::Socket }),
        connection: Connection { reset_received: true, ..Connection::default() },
        ..samples::event(close(CloseKind::ResetReceived, tcp_state::ESTABLISHED, Some(104)))
    }
}

/// A SYN that nobody answered.
fn unanswered() -> TcpEvent {
    TcpEvent {
        owner: None,
        weight: 12,
        connection: Connection {
            known_since_birth: true,
            opened: Some(Opened::Active),
            age: Some(Duration::from_secs(131)),
            ..Connection::default()
        },
        numbers: Some(TcpNumbers {
            snd_nxt: 1,
            retransmits: 6,
            min_rtt_us: u32::MAX,
            ..TcpNumbers::default()
        }),
        ..samples::event(close(CloseKind::NoAnswer, tcp_state::SYN_SENT, Some(110)))
    }
}

/// No way there.
fn unreachable() -> TcpEvent {
    TcpEvent { numbers: None, ..samples::event(close(CloseKind::NotOpened, tcp_state::SYN_SENT, Some(113))) }
}

fn events() -> [TcpEvent; 4] {
    [fin(), reset(), unanswered(), unreachable()]
}

fn counted(accounts: TcpAccounts, closes: u64) -> Summary {
    let events = TcpTotal { events: closes, ..TcpTotal::default() };
    let count = TcpCount { kind: kind::CLOSE, detail: tcp_state::LAST_ACK, counts: events, total: events };
    let tcp = TcpSummary {
        accounts,
        total: accounts,
        counts: vec![count],
        existed: Some(3),
        ..TcpSummary::default()
    };
    samples::summary(tcp)
}

fn told(output: &mut dyn Output) -> String {
    written(|out| {
        for event in &events() {
            output.tcp(event, out);
        }
        let accounts = TcpAccounts { sampled_out: 11, seen: 15, ..samples::accounts(4) };
        output.summary(&counted(accounts, 15), out);
        output.end(&counted(accounts, 15), out);
    })
}

#[test]
fn in_80_columns() {
    assert_snapshot!("table_80", told(&mut table(80)));
}

#[test]
fn in_140_columns() {
    assert_snapshot!("table_140", told(&mut table(140)));
}

#[test]
fn in_200_columns() {
    assert_snapshot!("table_200", told(&mut table(200)));
}

#[test]
fn in_a_pipe() {
    assert_snapshot!("text", told(&mut text()));
}

#[test]
fn comma_separated() {
    let text = told(&mut csv()).replace("\r\n", "\n");
    assert_snapshot!("csv", text);
    let (header, rest) = text.split_once('\n').unwrap();
    let fields = header.split(',').count();
    for line in rest.lines() {
        assert_eq!(line.split(',').count(), fields, "{line}");
    }
}

#[test]
fn without_a_connection() {
    let nothing = samples::summary(TcpSummary::default());
    assert_eq!(written(|out| text().end(&nothing, out)), "# No connection ended in 12 s.\n");
    let header = written(|out| csv().end(&nothing, out));
    assert!(header.starts_with("time,close,") && header.ends_with("weight\r\n"), "{header}");
}

#[test]
fn what_went_wrong_is_coloured() {
    let view = View { width: 80, height: 24, color: true };
    let mut table = Table::new(view, utc(), START);
    let lines = written(|out| events().iter().for_each(|event| table.tcp(event, out)));
    let coloured: Vec<bool> = lines.lines().map(|line| line.starts_with(WORSE)).collect();
    assert_eq!(coloured, [false, false, true, true, true]);
}

#[test]
fn a_connection_that_found_no_room_has_no_bound() {
    let mut table = table(80);
    let untracked = TcpAccounts { untracked: 1, ..samples::accounts(1) };
    written(|out| table.summary(&counted(untracked, 1), out));
    let line = written(|out| table.tcp(&reset(), out));
    assert!(!line.contains(">="), "{line}");
}

#[test]
fn another_width_has_titles_of_its_own() {
    let mut table = table(80);
    written(|out| table.tcp(&fin(), out));
    written(|out| table.resize(140, 24, out));
    let lines = written(|out| table.tcp(&fin(), out));
    assert!(lines.lines().next().unwrap().starts_with("TIME "), "{lines}");
}

#[test]
fn other_events_are_left_out() {
    let event = samples::event(TcpKind::State { from: 1, to: 4, spent: None });
    assert_eq!(written(|out| text().tcp(&event, out)), "");
    assert_eq!(written(|out| csv().tcp(&event, out)), "");
}

proptest! {
    #[test]
    fn a_line_fits_its_terminal(width in 1_usize..250) {
        let mut table = table(width);
        let lines = written(|out| events().iter().for_each(|event| table.tcp(event, out)));
        for line in lines.lines() {
            prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
        }
    }
}
