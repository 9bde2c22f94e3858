//! The live table for a terminal: most drops a second first, in place, in whatever width and height there are.

use super::columns::{Column, about, cut, identity, lines};
use super::fold::{Folded, fold, sentence};
use super::screen::{Screen, closing};
use super::{Output, Redrawn, report};
use crate::model::{Drop, Row, Summary};
use crate::tcp::digest;
use crate::units::{elapsed, per_second, thousands};

/// How a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The terminal's columns.
    pub width: usize,
    /// The terminal's lines.
    pub height: usize,
    /// Whether to colour.
    pub color: bool,
}

/// The table format.
#[derive(Debug)]
pub struct Table {
    view: View,
    folds: bool,
    screen: Screen,
    last: Summary,
}

impl Table {
    /// A table for a terminal of this size, with lifecycle drops folded into one line.
    pub fn new(view: View) -> Self {
        Self { view, folds: true, screen: Screen::default(), last: Summary::default() }
    }

    /// The same, with a row for whatever class it is.
    #[must_use]
    pub fn unfolded(self) -> Self {
        Self { folds: false, ..self }
    }

    fn draw(&mut self, out: &mut Vec<u8>) {
        self.screen.draw(&render(&self.last, self.view, self.folds), self.view.width, out);
    }
}

impl Output for Table {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.last = summary.clone();
        self.draw(out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.screen.clear(self.view.width, out);
        let View { width, color, .. } = self.view;
        closing(report::lines(summary, width, color, self.folds), width, out);
    }
}

impl Redrawn for Table {
    fn resize(&mut self, width: usize, height: usize, out: &mut Vec<u8>) {
        self.view = View { width, height, ..self.view };
        self.draw(out);
    }
}

/// Lines of a screen from which on one of them says what the top row means.
const ROOM_FOR_MEANING: usize = 10;

/// The frame for `summary`: at most `height - 1` lines, so that the cursor below it has a line, each at most `width` wide.
/// With `folds`, lifecycle drops are one line.
pub fn render(summary: &Summary, view: View, folds: bool) -> String {
    let mut frame = vec![cut(&headline(summary), view.width)];
    let tcp = summary.tcp.as_ref().map(|tcp| digest::headline(tcp, summary.interval));
    let Folded { rows, line: folded } = fold(&summary.rows, folds);
    let meaning = rows.first().filter(|_| view.height >= ROOM_FOR_MEANING).and_then(sentence);
    let below: Vec<String> = folded.into_iter().chain(meaning).chain(tcp).collect();
    // The headline, the titles, what stands below and the cursor's line are no rows.
    let room = view.height.saturating_sub(3 + below.len()).max(1);
    if !rows.is_empty() {
        let fits = rows.len() <= room;
        // The last line that there is room for tells of the rest.
        let (shown, rest) = if fits { (&rows[..], &[][..]) } else { rows.split_at(room - 1) };
        frame.extend(lines(shown, columns(shown, summary), view.width, view.color));
        if !rest.is_empty() {
            let drops = rest.iter().map(|row| row.counts.packets).sum();
            let more = format!("… and {} more rows, {}/s", rest.len(), per_second(drops, summary.interval));
            frame.push(cut(&more, view.width));
        }
    }
    frame.extend(below.iter().map(|line| cut(line, view.width)));
    frame.truncate(view.height.saturating_sub(1).max(1));
    frame.join("\n") + "\n"
}

fn headline(summary: &Summary) -> String {
    let total = summary.total;
    let time = elapsed(std::time::Duration::from_secs(summary.elapsed.as_secs()));
    if total.passed() == 0 && summary.rows.is_empty() {
        return format!("no drops yet ({time}); Ctrl-C ends");
    }
    let now = summary.accounts.passed();
    let drops = thousands(total.passed());
    let mut parts = vec![format!("{drops} drops in {time} · now {}/s", per_second(now, summary.interval))];
    let lost = [
        (total.ring_full, "details lost"),
        (total.table_full, "in no row"),
        (total.recursion_misses, "unseen"),
    ];
    let lost = lost.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(lost.map(|(count, why)| format!("{} {why}", thousands(count))));
    parts.join(" · ")
}

fn columns(rows: &[Row], summary: &Summary) -> Vec<Column> {
    let mut columns = vec![
        Column::number("DROPS/S", rows, |row| about(row) + &per_second(row.counts.packets, summary.interval)),
        Column::number("DROPS", rows, |row| about(row) + &thousands(row.total.packets)),
    ];
    columns.extend(identity(rows, |row| row.total));
    columns
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::super::samples::{self, written};
    use super::*;
    use crate::knowledge::Class;

    fn view(width: usize, height: usize) -> View {
        View { width, height, color: false }
    }

    #[test]
    fn in_80_columns() {
        assert_snapshot!(render(&samples::summary(), view(80, 24), true), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        DROPS/S      DROPS  REASON               FUNCTION        DEVICE     NETNS  PROTO
        489,412  4,894,120  NO_SOCKET            __udp4_lib_rcv  lo         host   udp
             12        340  TCP_LISTEN_OVERFLOW  tcp_conn_requ…  eth0       web    tcp
              0          1  NETFILTER_DROP       nft_do_chain_…  vethf00d…  host   icmp
        NO_SOCKET: No socket waits at the packet's destination: nobody listens at that …
        ");
    }

    #[test]
    fn in_140_columns() {
        assert_snapshot!(render(&samples::summary(), view(140, 24), true), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        DROPS/S      DROPS  REASON               FUNCTION                                 DEVICE        NETNS  PROTO  CLASS          BYTES
        489,412  4,894,120  NO_SOCKET            __udp4_lib_rcv+0x4bc                     lo            host   udp    no-receiver   142 MB
             12        340  TCP_LISTEN_OVERFLOW  tcp_conn_request+0x1a2                   eth0          web    tcp    congestion   20.4 kB
              0          1  NETFILTER_DROP       nft_do_chain_inet_with_a_long_name+0x1f  vethf00dcafe  host   icmp   policy          84 B
        NO_SOCKET: No socket waits at the packet's destination: nobody listens at that port, or the connection is gone.
        ");
    }

    #[test]
    fn in_200_columns() {
        assert_snapshot!(render(&samples::summary(), view(200, 24), true), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        DROPS/S      DROPS  REASON               FUNCTION                                 DEVICE        NETNS  PROTO  CLASS          BYTES  EXAMPLE
        489,412  4,894,120  NO_SOCKET            __udp4_lib_rcv+0x4bc                     lo            host   udp    no-receiver   142 MB  127.0.0.1:48777 > 127.0.0.1:9
             12        340  TCP_LISTEN_OVERFLOW  tcp_conn_request+0x1a2                   eth0          web    tcp    congestion   20.4 kB  [2001:db8::1]:4242 > [2001:db8::2]:80
              0          1  NETFILTER_DROP       nft_do_chain_inet_with_a_long_name+0x1f  vethf00dcafe  host   icmp   policy          84 B
        NO_SOCKET: No socket waits at the packet's destination: nobody listens at that port, or the connection is gone.
        ");
    }

    #[test]
    fn rows_that_do_not_fit_are_summed_in_one_line() {
        assert_snapshot!(render(&samples::summary(), view(80, 5), true), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        DROPS/S      DROPS  REASON     FUNCTION              DEVICE  NETNS  PROTO
        489,412  4,894,120  NO_SOCKET  __udp4_lib_rcv+0x4bc  lo      host   udp
        … and 2 more rows, 12/s
        ");
    }

    #[test]
    fn classes_have_colours() {
        let view = View { color: true, ..view(80, 24) };
        assert_snapshot!(render(&samples::summary(), view, true).escape_debug().to_string().replace("\\n", "\n"), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        \u{1b}[1mDROPS/S      DROPS  REASON               FUNCTION        DEVICE     NETNS  PROTO\u{1b}[0m
        \u{1b}[34m489,412  4,894,120  NO_SOCKET            __udp4_lib_rcv  lo         host   udp\u{1b}[0m
        \u{1b}[31m     12        340  TCP_LISTEN_OVERFLOW  tcp_conn_requ…  eth0       web    tcp\u{1b}[0m
        \u{1b}[33m      0          1  NETFILTER_DROP       nft_do_chain_…  vethf00d…  host   icmp\u{1b}[0m
        NO_SOCKET: No socket waits at the packet\'s destination: nobody listens at that …
        ");
    }

    #[test]
    fn lifecycle_drops_are_one_line() {
        assert_snapshot!(render(&samples::with_noise(), view(80, 24), true), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        DROPS/S      DROPS  REASON               FUNCTION        DEVICE     NETNS  PROTO
        489,412  4,894,120  NO_SOCKET            __udp4_lib_rcv  lo         host   udp
             12        340  TCP_LISTEN_OVERFLOW  tcp_conn_requ…  eth0       web    tcp
              0          1  NETFILTER_DROP       nft_do_chain_…  vethf00d…  host   icmp
        lifecycle: 1,200,014 drops at 2 sites, no loss; --all-classes shows them
        NO_SOCKET: No socket waits at the packet's destination: nobody listens at that …
        ");
    }

    #[test]
    fn lifecycle_drops_are_rows_when_asked_for() {
        let frame = render(&samples::with_noise(), view(140, 24), false);
        assert!(frame.contains("TCP_OLD_DATA") && frame.contains("QUEUE_PURGE"), "{frame}");
        assert!(!frame.contains("no loss"), "{frame}");
    }

    #[test]
    fn nothing_but_noise_has_no_table() {
        let mut summary = samples::with_noise();
        summary.rows.retain(|row| row.class == Some(Class::Lifecycle));
        assert_snapshot!(render(&summary, view(80, 24), true), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        lifecycle: 1,200,014 drops at 2 sites, no loss; --all-classes shows them
        ");
    }

    #[rstest::rstest]
    #[case::a_site_where_there_is_no_reason("NOT_SPECIFIED", "enqueue_to_backlog", "enqueue_to_backlog: ")]
    #[case::a_split_function("NOT_SPECIFIED", "nf_hook_slow.cold", "nf_hook_slow: ")]
    #[case::the_reason_first("TCP_CSUM", "enqueue_to_backlog", "TCP_CSUM: ")]
    fn the_top_row_is_explained(#[case] reason: &str, #[case] function: &str, #[case] begins: &str) {
        let mut summary = samples::summary();
        summary.rows[0].reason = Some(samples::reason(reason, Class::Unknown));
        summary.rows[0].site = Some(samples::site(function, 4));
        let frame = render(&summary, view(80, 24), true);
        assert!(frame.lines().last().unwrap().starts_with(begins), "{frame}");
    }

    #[test]
    fn what_is_not_known_is_not_explained() {
        let mut summary = samples::summary();
        summary.rows[0].reason = Some(samples::reason("A_REASON_OF_TOMORROW", Class::Unknown));
        assert_eq!(render(&summary, view(80, 24), true).lines().count(), 5);
    }

    #[test]
    fn flows_are_marked_as_estimates() {
        assert_snapshot!(render(&samples::flows(), view(80, 24), true), @r"
        4,894,461 drops in 12 s · now 489,424/s · 412 details lost · 3 unseen
        DROPS/S   DROPS  SOURCE         DESTINATION    BYTES
           ~700  ~1,400  10.0.0.1:4242  10.0.0.2:80   ~84 kB
            ~20     ~40  2001:db8::1    :53          ~2.4 kB
             ~3      ~6  (all others)                 ~360 B
        ");
    }

    #[test]
    fn nothing_yet() {
        let summary = Summary { elapsed: Duration::from_millis(12_345), ..Summary::default() };
        assert_snapshot!(render(&summary, view(80, 24), true), @"no drops yet (12 s); Ctrl-C ends");
    }

    #[test]
    fn the_last_table_replaces_the_live_one() {
        let mut table = Table::new(view(80, 24));
        written(|out| table.summary(&samples::summary(), out));
        let end = written(|out| table.end(&samples::end(), out));
        assert_snapshot!(end.replace('\x1b', "␛").replace('\r', "␍"), @r"
        ␛[6A␍␛[J4,894,461 drops in 12 s, 408 k/s on average.

            DROPS   SHARE  REASON               FUNCTION        DEVICE      NETNS  PROTO
        4,894,120  >99.9%  NO_SOCKET            __udp4_lib_rcv  lo          host   udp
              340   <0.1%  TCP_LISTEN_OVERFLOW  tcp_conn_requ…  eth0        web    tcp
                1   <0.1%  NETFILTER_DROP       nft_do_chain_…  vethf00dc…  host   icmp
        NO_SOCKET: No socket waits at the packet's destination: nobody listens at that
        port, or the connection is gone.

        4,894,461 drops seen: 12,012 with details, 4,882,037 sampled out, 412 details
        lost (ring buffer full).
        3 more were not seen: the kernel's recursion guard kept them from netdrop.
        ");
    }

    #[test]
    fn a_narrower_terminal_is_cleared_and_drawn_anew() {
        let mut table = Table::new(view(140, 24));
        written(|out| table.summary(&samples::summary(), out));
        let redrawn = written(|out| table.resize(60, 24, out));
        assert_snapshot!(redrawn.replace('\x1b', "␛").replace('\r', "␍"), @r"
        ␛[16A␍␛[J4,894,461 drops in 12 s · now 489,424/s · 412 details lost …
        DROPS/S      DROPS  REASON    FUNCTI…  DEVICE   NETNS  PROTO
        489,412  4,894,120  NO_SOCK…  __udp4…  lo       host   udp
             12        340  TCP_LIS…  tcp_co…  eth0     web    tcp
              0          1  NETFILT…  nft_do…  vethf0…  host   icmp
        NO_SOCKET: No socket waits at the packet's destination: nob…
        ");
    }

    proptest! {
        #[test]
        fn a_frame_fits_its_terminal(width in 1_usize..200, height in 2_usize..30) {
            for summary in [samples::summary(), samples::with_noise(), samples::flows(), Summary::default()] {
                let frame = render(&summary, view(width, height), true);
                prop_assert!(frame.lines().count() < height);
                for line in frame.lines() {
                    prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
                }
            }
        }
    }
}
