//! One site: how much, where, what it means, what helps, its last packets and the way there.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::super::data::Data;
use super::super::entry::Entry;
use super::super::history::Past;
use super::super::pane::{Pane, site_key};
use super::super::ui::Opened;
use super::Screen;
use super::theme::Theme;
use crate::knowledge::{self, Entry as Known};
use crate::model::{Explanation, Row};
use crate::output::words::{DeviceName, NetnsName, Plain};
use crate::output::{Clock, explain, sparkline};
use crate::units::{per_second, thousands};

/// From this width on, what is known and what is seen stand side by side.
const WIDE: u16 = 110;
/// Rows of places that are listed.
const PLACES: usize = 8;
/// The reason that is none.
const NO_REASON: &str = "NOT_SPECIFIED";

/// Draws the site.
pub fn render(screen: &Screen<'_>, opened: &Opened, theme: Theme, area: Rect, buffer: &mut Buffer) {
    for (part, lines) in parts(screen.data, screen.clock, opened, theme, area) {
        for (line, y) in lines.iter().skip(opened.scroll).zip(part.y..part.bottom()) {
            buffer.set_line(part.x, y, line, part.width);
        }
    }
}

/// How many lines the longer part has.
pub fn length(data: &Data, clock: &Clock, opened: &Opened, area: Rect) -> usize {
    let parts = parts(data, clock, opened, Theme { color: false }, area);
    parts.into_iter().map(|(_, lines)| lines.len()).max().unwrap_or(0)
}

fn parts(
    data: &Data,
    clock: &Clock,
    opened: &Opened,
    theme: Theme,
    area: Rect,
) -> Vec<(Rect, Vec<Line<'static>>)> {
    let site = Site::of(data, clock, opened, theme);
    if area.width < WIDE {
        let width = usize::from(area.width);
        let mut lines = site.head(width);
        lines.extend(site.places());
        lines.extend(site.meaning(width));
        lines.extend(site.packets(width));
        lines.extend(site.stack(width));
        return vec![(area, lines)];
    }
    let half = area.width / 2;
    let left = Rect { width: half - 1, ..area };
    let right = Rect { x: area.x + half + 1, width: area.width - half - 1, ..area };
    let width = usize::from(left.width);
    let mut known = site.head(width);
    known.extend(site.meaning(width));
    let width = usize::from(right.width);
    let mut seen = site.places();
    seen.extend(site.packets(width));
    seen.extend(site.stack(width));
    vec![(left, known), (right, seen)]
}

struct Site<'d> {
    data: &'d Data,
    clock: &'d Clock,
    entry: Option<&'d Entry>,
    /// The most drops first.
    rows: Vec<&'d Row>,
    past: Option<&'d Past>,
    theme: Theme,
}

impl<'d> Site<'d> {
    fn of(data: &'d Data, clock: &'d Clock, opened: &'d Opened, theme: Theme) -> Self {
        let key = opened.key.as_str();
        Self {
            data,
            clock,
            entry: data.entries(Pane::Sites).iter().find(|entry| entry.key == key),
            rows: data.rows.iter().filter(|row| site_key(row) == key).collect(),
            past: data.history.of(key),
            theme,
        }
    }

    fn head(&self, width: usize) -> Vec<Line<'static>> {
        let Some(entry) = self.entry else {
            return vec![Line::styled(
                "no drops of this site are left here; Esc goes back",
                self.theme.faint(),
            )];
        };
        let [reason, function] = [0, 1].map(|column| entry.cells[column].clone());
        let class = entry.class.map_or(String::new(), |class| class.to_string());
        let mut lines = vec![
            Line::from_iter([
                Span::styled(reason, self.theme.title()),
                Span::raw(" at "),
                Span::styled(function, self.theme.strong()),
                Span::raw("  "),
                Span::styled(class, self.theme.class(entry.class)),
            ]),
            Line::from_iter([
                Span::styled(
                    format!("{}/s", per_second(entry.interval.packets, self.data.interval)),
                    self.theme.strong(),
                ),
                Span::raw(format!("  {} drops  ", thousands(entry.total.packets))),
                Span::styled(Self::trend(entry, width), self.theme.class(entry.class)),
            ]),
        ];
        let line =
            entry.site.as_ref().and_then(|site| site.source.as_ref()).map(|source| source.line.clone());
        if let Some(line) = line.or_else(|| self.past?.line.clone()) {
            lines.push(Line::from_iter([
                Span::styled("source line  ", self.theme.faint()),
                Span::raw(Plain(&line).to_string()),
            ]));
        }
        lines.extend(self.explained(width));
        lines
    }

    /// What the doctor says of it.
    fn explained(&self, width: usize) -> Vec<Line<'static>> {
        let is_of = |one: &&Explanation| self.rows.iter().any(|row| one.is_of(row));
        let told = self.data.findings.iter().filter(is_of).map(|one| Plain(&one.to_string()).to_string());
        told.flat_map(|text: String| folded(&text, width))
            .map(|line| Line::styled(line, self.theme.strong()))
            .collect()
    }

    fn trend(entry: &Entry, width: usize) -> String {
        const BESIDE: usize = 36;
        let room = width.saturating_sub(BESIDE);
        let from = entry.trend.len().saturating_sub(room);
        sparkline(&entry.trend.iter().skip(from).copied().collect::<Vec<_>>())
    }

    /// Which devices, namespaces and protocols: exact counts.
    fn places(&self) -> Vec<Line<'static>> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let mut lines = self.heading("Where");
        for row in self.rows.iter().take(PLACES) {
            let device = row.device.as_ref().map_or("-".into(), |device| DeviceName(device).to_string());
            let netns = row.netns.as_ref().map_or("-".into(), |netns| NetnsName(netns).to_string());
            let protocol = row.protocol.map_or(String::new(), |protocol| protocol.to_string());
            let rate = per_second(row.counts.packets, self.data.interval);
            let total = thousands(row.total.packets);
            lines.push(Line::raw(format!(
                "  {rate:>8}/s {total:>12}  {protocol:<6} dev {device}  netns {netns}"
            )));
        }
        let more = self.rows.len().saturating_sub(PLACES);
        if more > 0 {
            lines.push(Line::styled(format!("  and {more} more"), self.theme.faint()));
        }
        lines
    }

    fn meaning(&self, width: usize) -> Vec<Line<'static>> {
        let Some(known) = self.known() else {
            let mut lines = self.heading("Meaning");
            lines.push(Line::styled("  nothing is known about it", self.theme.faint()));
            return lines;
        };
        let text = explain::text(known, None, width, false);
        // Its first line is the name, which stands above already.
        let mut lines = self.heading("Meaning");
        for line in text.lines().skip(1).flat_map(|line| folded(line, width)) {
            let style = match line.as_str() {
                line if line.starts_with("  $ ") => self.theme.command(),
                line if is_heading(line) => self.theme.title(),
                _ => Style::new(),
            };
            lines.push(Line::styled(line, style));
        }
        lines
    }

    /// What is known about the reason; about the function or the trap where that says nothing.
    fn known(&self) -> Option<&'static Known> {
        let entry = self.entry?;
        let site = entry.site.as_ref();
        if let Some(trap) = site.and_then(|site| site.trap.as_ref()) {
            return knowledge::trap(&trap.name);
        }
        match entry.reason.as_ref().map(|reason| reason.name.as_str()) {
            Some(reason) if reason != NO_REASON => knowledge::reason(reason),
            _ => knowledge::site(site?.function.as_deref()?),
        }
    }

    fn packets(&self, width: usize) -> Vec<Line<'static>> {
        let mut lines = self.heading("Last packets");
        let Some(past) = self.past else {
            lines.push(Line::styled("  no details of its drops yet", self.theme.faint()));
            return lines;
        };
        let mut clock = self.clock.clone();
        for seen in past.packets.iter().rev() {
            let stands_for =
                if seen.weight > 1 { format!(" (x{})", thousands(seen.weight)) } else { String::new() };
            // Where there is but one place, it stands above.
            let place = if self.rows.len() > 1 { seen.place.as_str() } else { "" };
            let text = format!("{} {}{place}{stands_for}", clock.time_of_day(seen.time), seen.text);
            lines.extend(indented(&text, width).into_iter().map(Line::raw));
        }
        lines
    }

    fn stack(&self, width: usize) -> Vec<Line<'static>> {
        let Some(past) = self.past.filter(|past| !past.stack.is_empty()) else { return Vec::new() };
        let mut lines = self.heading("Call chain of the last");
        let frames = past.stack.iter().flat_map(|frame| indented(&Plain(frame).to_string(), width));
        lines.extend(frames.map(Line::raw));
        lines
    }

    fn heading(&self, text: &'static str) -> Vec<Line<'static>> {
        vec![Line::raw(""), Line::styled(text, self.theme.title())]
    }
}

/// Headings of explanations aren't indented, and short.
fn is_heading(line: &str) -> bool {
    const LONGEST: usize = 24;
    !line.is_empty() && !line.starts_with(' ') && line.len() <= LONGEST && !line.ends_with('.')
}

/// A line in two columns of indentation, what is too long for one in lines indented further.
fn indented(text: &str, width: usize) -> Vec<String> {
    let mut lines = folded(text, width.saturating_sub(4)).into_iter();
    let first = lines.next().map(|line| format!("  {line}"));
    first.into_iter().chain(lines.map(|line| format!("    {line}"))).collect()
}

/// Text in lines at most `width` columns wide, broken at spaces where there are any.
fn folded(text: &str, width: usize) -> Vec<String> {
    let width = width.max(10);
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.width() > width {
        let mut end = 0;
        let mut space = None;
        for (place, letter) in rest.char_indices() {
            if rest[..place + letter.len_utf8()].width() > width {
                break;
            }
            end = place + letter.len_utf8();
            // Not in the indentation.
            if letter == ' ' && !rest[..place].trim().is_empty() {
                space = Some(end);
            }
        }
        let at_word = rest[end..].starts_with(' ');
        let (line, next) = rest.split_at(if at_word { end } else { space.unwrap_or(end) });
        lines.push(line.trim_end().to_owned());
        rest = next.strip_prefix(' ').unwrap_or(next);
    }
    lines.push(rest.to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rstest::rstest]
    #[case("", &[""])]
    #[case("drops", &["drops"])]
    #[case("more drops than before", &["more drops", "than before"])]
    #[case("  $ command with arguments", &["  $ command", "with", "arguments"])]
    #[case("0123456789abcdef", &["0123456789a", "bcdef"])]
    fn long_lines_are_broken_at_spaces(#[case] text: &str, #[case] lines: &[&str]) {
        assert_eq!(folded(text, 11), lines);
    }

    proptest! {
        #[test]
        fn nothing_but_spaces_is_lost(text in "[ a-zé日]{0,60}", width in 10_usize..40) {
            let lines = folded(&text, width);
            let letters = |text: &str| text.chars().filter(|letter| *letter != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
            prop_assert!(lines.iter().all(|line| line.width() <= width));
        }
    }
}
