//! The screen as people see it, and what keys and mouse do to it.

use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use insta::assert_snapshot;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::model::{Accounts, Context, Counts, Reason, Site, Timestamp};
use crate::output::{Json, Output as _, samples};
use crate::recording::Line;

fn top(width: usize, height: usize) -> Top {
    Top::new(View { width, height, color: false }, Clock::new(TimeZone::UTC, 6))
}

/// What stands on a terminal of its size.
fn screen(top: &mut Top) -> String {
    let area = top.area();
    let mut terminal = Terminal::new(TestBackend::new(area.width, area.height)).unwrap();
    terminal.draw(|frame| top.screen().render(area, frame.buffer_mut())).unwrap();
    terminal.backend().to_string()
}

/// After some seconds with drops of many kinds.
fn busy(width: usize, height: usize) -> Top {
    let mut top = top(width, height);
    play(&mut top, 5);
    top
}

/// So many seconds, each with more drops than the one before.
fn play(top: &mut Top, seconds: u64) {
    let before = top.last().clone();
    for second in 1..=seconds {
        for parts in [samples::udp(), samples::full()] {
            let frames = ["__udp4_lib_rcv+0x4bc".to_owned(), "ip_protocol_deliver_rcu+0xb3".to_owned()];
            let owner = samples::owner();
            let context = Context { owner: Some(&owner), stack: &frames, ..Context::default() };
            let (site, reason) = distinct(&parts.site, parts.reason.as_ref());
            let parts = samples::Parts { site, reason, ..parts };
            top.drop(&Drop { context, ..parts.drop(10) });
        }
        let sample = samples::with_noise();
        let mut rows = sample.rows.clone();
        for row in &mut rows {
            let (site, reason) = distinct(row.site.as_ref().unwrap(), row.reason.as_ref());
            (row.site, row.reason) = (Some(site), reason);
            let (packets, bytes) = (row.counts.packets * second, row.counts.bytes * second);
            row.counts = Counts { packets, bytes };
            let earlier = top.last().rows.iter().find(|before| before.count_key() == row.count_key());
            row.total = earlier.map(|row| row.total).unwrap_or_default();
            row.total += row.counts;
        }
        let drops: u64 = rows.iter().map(|row| row.counts.packets).sum();
        let accounts = Accounts { seen: drops, detailed: 2, sampled_out: drops - 2, ..Accounts::default() };
        top.summary(&Summary {
            time: Timestamp(before.time.0.max(sample.time.0) + second * 1_000_000_000),
            interval: Duration::from_secs(1),
            elapsed: before.elapsed + Duration::from_secs(second),
            total: top.last().total.plus(&accounts),
            accounts,
            rows,
            ..Summary::default()
        });
    }
}

/// The samples' sites and reasons with numbers of their own, as the kernel's have.
fn distinct(site: &Arc<Site>, reason: Option<&Arc<Reason>>) -> (Arc<Site>, Option<Arc<Reason>>) {
    let number =
        |text: &str| text.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let address = u64::from(number(site.function.as_deref().unwrap_or_default())) + site.offset;
    let reason = reason.map(|reason| Arc::new(Reason { number: number(&reason.name), ..(**reason).clone() }));
    (Arc::new(Site { address, ..(**site).clone() }), reason)
}

fn press(top: &mut Top, code: KeyCode) -> Option<Wish> {
    top.event(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_in(top: &mut Top, text: &str) {
    for letter in text.chars() {
        press(top, KeyCode::Char(letter));
    }
}

fn mouse(top: &mut Top, kind: MouseEventKind, column: u16, row: u16) {
    top.event(&Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

fn click(top: &mut Top, column: u16, row: u16) {
    mouse(top, MouseEventKind::Down(MouseButton::Left), column, row);
}

/// In the site that it explains, and in no other.
#[test]
fn what_the_doctor_says_stands_in_its_site() {
    let mut top = busy(100, 40);
    let explanation = crate::model::Explanation {
        check: "udp-x".into(),
        severity: "warning".into(),
        subject: "port 9".into(),
        sentence: "Nobody listens.".into(),
        cause: "It ended.".into(),
        explains: vec!["NO_SOCKET".into()],
        verify: "netdrop doctor --only udp-x".into(),
        netns: None,
    };
    let last = top.last().clone();
    top.summary(&Summary { findings: [explanation].into(), ..last });
    let sites = ["NO_SOCKET", "TCP_LISTEN_OVERFLOW"].map(|reason| {
        press(&mut top, KeyCode::Char('/'));
        type_in(&mut top, reason);
        press(&mut top, KeyCode::Enter);
        press(&mut top, KeyCode::Enter);
        let shown = screen(&mut top);
        press(&mut top, KeyCode::Esc);
        press(&mut top, KeyCode::Esc);
        shown
    });
    assert!(sites[0].contains("doctor: port 9: Nobody listens. It ended."), "{}", sites[0]);
    assert!(!sites[1].contains("doctor:"), "{}", sites[1]);
}

#[test]
fn nothing_yet() {
    assert_snapshot!(screen(&mut top(80, 24)));
}

#[rstest::rstest]
#[case(80, 24)]
#[case(120, 40)]
#[case(40, 12)]
fn sites(#[case] width: usize, #[case] height: usize) {
    assert_snapshot!(format!("sites-{width}x{height}"), screen(&mut busy(width, height)));
}

#[rstest::rstest]
#[case(80, 24)]
#[case(120, 40)]
#[case(40, 12)]
fn a_site(#[case] width: usize, #[case] height: usize) {
    let mut top = busy(width, height);
    press(&mut top, KeyCode::Enter);
    assert_snapshot!(format!("site-{width}x{height}"), screen(&mut top));
}

#[rstest::rstest]
#[case('2')]
#[case('3')]
#[case('4')]
#[case('5')]
#[case('6')]
fn panes(#[case] key: char) {
    let mut top = busy(80, 24);
    press(&mut top, KeyCode::Char(key));
    assert_snapshot!(format!("pane-{key}"), screen(&mut top));
}

#[test]
fn help_stands_over_all_and_any_key_takes_it_away() {
    let mut top = busy(80, 24);
    let before = screen(&mut top);
    press(&mut top, KeyCode::Char('?'));
    assert_snapshot!(screen(&mut top));
    press(&mut top, KeyCode::Char('x'));
    assert_eq!(screen(&mut top), before);
}

#[test]
fn a_site_scrolls_to_its_last_packet_and_no_further() {
    let mut top = busy(80, 24);
    press(&mut top, KeyCode::Enter);
    for _ in 0..50 {
        press(&mut top, KeyCode::PageDown);
    }
    let end = screen(&mut top);
    assert!(end.contains("ip_protocol_deliver_rcu+0xb3"), "{end}");
    press(&mut top, KeyCode::Esc);
    assert_eq!(screen(&mut top), screen(&mut busy(80, 24)));
}

#[test]
fn the_filter_finds_what_any_column_says() {
    let mut top = busy(80, 24);
    let reason = top.data().entries(pane::Pane::Sites)[0].cells[0].clone();
    type_in(&mut top, "/");
    type_in(&mut top, &reason.to_lowercase());
    let typed = screen(&mut top);
    assert!(typed.contains(&format!("filter: {}", reason.to_lowercase())), "{typed}");
    press(&mut top, KeyCode::Enter);
    let shown = top.ui.visible(top.data(), pane::Pane::Sites);
    assert!(!shown.is_empty() && shown.iter().all(|entry| entry.cells[0] == reason));
    press(&mut top, KeyCode::Esc);
    type_in(&mut top, "/no such thing");
    assert!(screen(&mut top).contains("nothing here has that in it"));
}

#[test]
fn q_is_a_letter_while_the_filter_is_typed() {
    let mut top = busy(80, 24);
    type_in(&mut top, "/");
    assert_eq!(press(&mut top, KeyCode::Char('q')), None);
    press(&mut top, KeyCode::Esc);
    assert_eq!(press(&mut top, KeyCode::Char('q')), Some(Wish::Quit));
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(top.event(&Event::Key(ctrl_c)), Some(Wish::Quit));
}

#[test]
fn rows_are_ordered_by_rate_total_and_name() {
    let mut top = busy(80, 24);
    let order = |top: &Top, what: fn(&entry::Entry) -> u64| {
        let counts: Vec<_> = top.ui.visible(top.data(), pane::Pane::Sites).into_iter().map(what).collect();
        counts.is_sorted_by(|one, other| one >= other)
    };
    assert!(order(&top, |entry| entry.interval.packets));
    press(&mut top, KeyCode::Char('s'));
    assert!(order(&top, |entry| entry.total.packets));
    press(&mut top, KeyCode::Char('s'));
    let entries = top.ui.visible(top.data(), pane::Pane::Sites);
    assert!(entries.is_sorted_by_key(|entry| &entry.cells));
}

#[test]
fn a_paused_picture_stands_still_but_for_the_accounts() {
    let mut top = busy(80, 24);
    press(&mut top, KeyCode::Char('p'));
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let before = lines(screen(&mut top));
    play(&mut top, 3);
    let after = lines(screen(&mut top));
    assert!(after[0].contains("PAUSED") && after[1] != before[1]);
    assert_eq!((&after[0], &after[2..]), (&before[0], &before[2..]));
    press(&mut top, KeyCode::Char('p'));
    assert_ne!(lines(screen(&mut top))[0], before[0]);
}

#[test]
fn cleared_counts_begin_anew() {
    let mut top = busy(80, 24);
    press(&mut top, KeyCode::Char('c'));
    assert!(screen(&mut top).contains("seen 0 = "));
    let before: u64 = top.last().total.seen;
    play(&mut top, 1);
    let data = top.data();
    assert_eq!(data.accounts.seen, top.last().total.seen - before);
    let totals: u64 = data.rows.iter().map(|row| row.total.packets).sum();
    assert_eq!(totals, data.accounts.seen);
    assert!(data.entries(pane::Pane::Sites).iter().all(|entry| entry.total == entry.interval));
}

#[test]
fn lifecycle_is_shown_when_it_is_asked_for() {
    let mut top = busy(80, 24);
    let rows = |top: &Top| top.ui.visible(top.data(), pane::Pane::Sites).len();
    let loss = rows(&top);
    press(&mut top, KeyCode::Char('l'));
    assert!(rows(&top) > loss);
    press(&mut top, KeyCode::Char('l'));
    assert_eq!(rows(&top), loss);
}

#[test]
fn flows_and_owners_add_up_to_what_was_counted() {
    let mut top = busy(80, 24);
    press(&mut top, KeyCode::Char('l'));
    let sum = |pane| top.data().entries(pane).iter().map(|entry| entry.total.packets).sum::<u64>();
    assert_eq!(sum(pane::Pane::Flows), sum(pane::Pane::Sites));
    assert_eq!(sum(pane::Pane::Owners), sum(pane::Pane::Sites));
    assert!(top.data().entries(pane::Pane::Flows).iter().all(|entry| entry.estimated));
}

#[test]
fn a_click_selects_and_another_opens() {
    let mut top = busy(80, 24);
    // Header, tabs, titles; then the rows.
    click(&mut top, 30, 5);
    assert_eq!(top.ui.selection(&top.ui.visible(top.data(), pane::Pane::Sites), pane::Pane::Sites), 1);
    click(&mut top, 30, 5);
    assert!(top.ui.opened.is_some());
    press(&mut top, KeyCode::Esc);
    mouse(&mut top, MouseEventKind::ScrollUp, 30, 5);
    assert_eq!(top.ui.selection(&top.ui.visible(top.data(), pane::Pane::Sites), pane::Pane::Sites), 0);
    // The title of the totals, and the name of the second pane.
    click(&mut top, 15, 3);
    assert_eq!(top.ui.sort, ui::Sort::Total);
    click(&mut top, 14, 2);
    assert_eq!(top.ui.pane, pane::Pane::Reasons);
}

#[test]
fn other_panes_lead_to_the_sites() {
    let mut top = busy(80, 24);
    type_in(&mut top, "2");
    press(&mut top, KeyCode::Enter);
    assert_eq!(top.ui.pane, pane::Pane::Sites);
    let shown = top.ui.visible(top.data(), pane::Pane::Sites);
    assert!(!shown.is_empty() && shown.iter().all(|entry| entry.cells[0] == top.ui.filter));
}

#[test]
fn the_selection_stays_with_its_row() {
    let mut top = busy(80, 24);
    press(&mut top, KeyCode::Down);
    let selected = |top: &Top| {
        let entries = top.ui.visible(top.data(), pane::Pane::Sites);
        entries[top.ui.selection(&entries, pane::Pane::Sites)].key.clone()
    };
    let before = selected(&top);
    press(&mut top, KeyCode::Char('s'));
    press(&mut top, KeyCode::Char('s'));
    play(&mut top, 2);
    assert_eq!(selected(&top), before);
}

/// Writes all that happens while `play`s run.
fn recorded(begin: &Summary, top: &mut Top) -> Vec<u8> {
    let mut recorder = Recorder::new(begin);
    let mut lines = Vec::new();
    let parts = samples::udp();
    let (site, reason) = distinct(&parts.site, parts.reason.as_ref());
    recorder.drop(&samples::Parts { site, reason, ..parts }.drop(10), &mut lines);
    play(top, 1);
    recorder.summary(top.last(), &mut lines);
    play(top, 1);
    recorder.summary(top.last(), &mut lines);
    recorder.end(top.last(), &mut lines);
    lines
}

fn tape(lines: &[u8]) -> Tape {
    let mut tape = Tape::default();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        tape.take(&Line::parse(line).unwrap());
    }
    tape.finish();
    tape
}

#[test]
fn a_recording_counts_from_where_it_began() {
    let mut top = busy(80, 24);
    let begin = top.last().clone();
    let lines = recorded(&begin, &mut top);
    let last = lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
    let Line::End(end) = Line::parse(last).unwrap() else { panic!("no end") };
    let counted = top.last().total.since(&begin.total);
    assert_eq!(end.accounts, counted);
    assert_eq!(end.rows.iter().map(|row| row.counts.packets).sum::<u64>(), counted.seen);
    assert_eq!(Some(end.interval), top.last().elapsed.checked_sub(begin.elapsed));
}

#[test]
fn a_recording_is_looked_at_back_and_forth() {
    let lines = recorded(&Summary::default(), &mut top(80, 24));
    let view = View { width: 80, height: 24, color: false };
    let mut top = Top::playing(view, Clock::new(TimeZone::UTC, 6), "drops.jsonl".into(), tape(&lines));
    let end = screen(&mut top);
    assert_snapshot!(end);
    press(&mut top, KeyCode::Left);
    let earlier = screen(&mut top);
    assert!(earlier.contains("(1/2)") && earlier != end, "{earlier}");
    press(&mut top, KeyCode::Left);
    assert_eq!(screen(&mut top), earlier, "there is nothing before the first");
    press(&mut top, KeyCode::Right);
    assert_eq!(screen(&mut top), end);
    assert_eq!(press(&mut top, KeyCode::Char('w')), None, "what is recorded needs no recording");
}

#[test]
fn details_without_counts_are_counted_by_their_weights() {
    let mut lines = Vec::new();
    Json::new().drop(&samples::udp().drop(7), &mut lines);
    let tape = tape(&lines);
    let frame = tape.until(1).next().unwrap();
    assert_eq!(frame.summary().total.seen, 7);
    assert!(frame.summary().rows.iter().all(|row| row.estimated));
}

#[test]
fn names_from_outside_move_no_cursor() {
    let mut top = top(80, 24);
    let mut summary = samples::summary();
    for row in &mut summary.rows {
        row.device = Some(samples::device(3, "\x1b[2Jevil\n"));
        row.total = row.counts;
    }
    summary.total = summary.accounts;
    top.summary(&summary);
    let mut out = Vec::new();
    type_in(&mut top, "4");
    top.draw(&mut out);
    let drawn = String::from_utf8(out).unwrap();
    assert!(drawn.contains("evil") && !drawn.contains("Jevil\n"), "{drawn:?}");
    assert_eq!(drawn.matches("\x1b[2J").count(), 1, "the canvas's own");
}

fn events() -> impl Strategy<Value = Event> {
    let codes = prop_oneof![
        prop::char::range(' ', '~').prop_map(KeyCode::Char),
        prop::sample::select(vec![
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::Backspace,
        ]),
    ];
    let kinds = prop::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
        MouseEventKind::Moved,
    ]);
    prop_oneof![
        4 => codes.prop_map(|code| Event::Key(KeyEvent::new(code, KeyModifiers::NONE))),
        1 => (kinds, 0..150_u16, 0..60_u16).prop_map(|(kind, column, row)| {
            Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_pressed_on_whatever_screen_draws(
        events in prop::collection::vec((events(), 1..150_usize, 1..60_usize), 0..40)
    ) {
        let mut top = busy(80, 24);
        for (event, width, height) in events {
            top.event(&event);
            top.resize(View { width, height, color: true });
            let mut out = Vec::new();
            top.draw(&mut out);
            prop_assert!(!out.is_empty());
        }
    }
}

#[test]
fn tables_are_bounded() {
    let mut top = top(80, 24);
    let mut parts = samples::udp();
    for port in 0..20_000_u16 {
        parts.packet.source = Some(samples::endpoint(&format!("10.0.0.1:{port}")));
        let mut site = (*parts.site).clone();
        site.address = u64::from(port);
        parts.site = Arc::new(site);
        top.drop(&parts.drop(1));
    }
    top.summary(&samples::summary());
    assert!(top.data().entries(pane::Pane::Flows).len() <= 4097);
    assert!(top.data().history.len() <= 256);
}

/// A recording that tells of TCP has the pane too, back and forth.
#[test]
fn tcp_of_a_recording() {
    use crate::model::tcp::Retransmit;
    use crate::output::{Json, Output as _};
    let mut lines = Vec::new();
    let (mut json, summary) = (Json::new(), crate::tcp::samples::summary(crate::tcp::samples::counted()));
    json.tcp(&crate::tcp::samples::retransmit(Retransmit::Rto), &mut lines);
    json.summary(&summary, &mut lines);
    json.tcp(&crate::tcp::samples::retransmit(Retransmit::Fast), &mut lines);
    json.summary(&summary, &mut lines);
    json.end(&summary, &mut lines);
    let view = View { width: 100, height: 14, color: false };
    let mut top = Top::playing(view, Clock::new(TimeZone::UTC, 6), "tcp.jsonl".into(), tape(&lines));
    press(&mut top, KeyCode::Char('7'));
    assert_snapshot!("tcp_of_a_recording", screen(&mut top));
    let counted = |top: &Top| {
        let entries = top.feed.data.entries(super::pane::Pane::Tcp);
        (entries.len(), entries.iter().map(|entry| entry.total.packets).sum::<u64>())
    };
    assert_eq!(counted(&top), (3, 26));
    press(&mut top, KeyCode::Left);
    assert_eq!(counted(&top), (2, 13));
}

/// TCP has a pane where it is followed; rows sum to the kernel's exact counts.
#[test]
fn tcp_is_a_pane_where_it_is_followed() {
    let mut top = top(100, 20);
    top.event(&Event::Key(KeyCode::Char('7').into()));
    assert_eq!(top.ui.pane, super::pane::Pane::Sites);
    for by in [crate::model::tcp::Retransmit::Rto, crate::model::tcp::Retransmit::Rto] {
        top.tcp(&crate::tcp::samples::retransmit(by));
    }
    top.summary(&crate::tcp::samples::summary(crate::tcp::samples::counted()));
    top.event(&Event::Key(KeyCode::Char('7').into()));
    assert_eq!(top.ui.pane, super::pane::Pane::Tcp);
    let entries = top.feed.data.entries(super::pane::Pane::Tcp);
    // 7 and 2 retransmissions, 3 resets sent, one received; the failed one is none.
    assert_eq!(entries.iter().map(|entry| entry.total.packets).sum::<u64>(), 13);
    let told = entries.iter().find(|entry| !entry.other).unwrap();
    assert_eq!(told.cells, ["retransmit rto", "10.0.0.2:80", "10.0.0.1:45678", "curl(4242)"]);
    assert_eq!(told.total.packets, 2);
}
