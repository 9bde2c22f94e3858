//! A pane's rows as columns, in as much width as there is.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr as _;

use super::super::data::Data;
use super::super::entry::Entry;
use super::super::pane::Pane;
use super::super::ui::{Sort, Ui};
use super::theme::Theme;
use crate::output::columns::cut;
use crate::output::sparkline;
use crate::units::{per_second, thousands};

/// Columns between columns.
const GAP: u16 = 2;
/// A column of text takes no more, however much there is.
const WIDEST: u16 = 48;
/// The trend's width, where it is shown, and where there is nothing better to do with the room.
const TREND: u16 = 10;
const TREND_WIDEST: u16 = 30;
/// From this width on, numbers and trend are shown, even if names must be cut for it.
const ROOMY: u16 = 72;

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Drops a second.
    Rate,
    /// Drops since the start.
    Total,
    /// The part of all.
    Share,
    /// Drops of the last intervals.
    Trend,
    /// A column of the pane's own.
    Text(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    kind: Kind,
    x: u16,
    width: u16,
}

/// A pane's rows, laid out.
#[derive(Debug)]
pub struct List<'d> {
    pane: Pane,
    /// Titles and rows, without any border.
    area: Rect,
    columns: Vec<Column>,
    /// All that the filter lets through.
    entries: Vec<&'d Entry>,
    /// The first that is shown.
    offset: usize,
    selected: usize,
}

impl<'d> List<'d> {
    /// The rows of `pane` in `area`.
    pub fn new(pane: Pane, area: Rect, data: &'d Data, ui: &Ui) -> Self {
        let entries = ui.visible(data, pane);
        let selected = ui.selection(&entries, pane);
        let rows = usize::from(area.height.saturating_sub(1));
        let offset = (selected + 1).saturating_sub(rows.max(1));
        let shown = &entries[offset.min(entries.len())..entries.len().min(offset + rows)];
        let columns = fit(pane, shown, data, area);
        Self { pane, area, columns, entries, offset, selected }
    }

    /// The title at this place.
    pub fn title_at(&self, at: Position) -> Option<Kind> {
        let is_title = self.area.contains(at) && at.y == self.area.y;
        let column = self.columns.iter().rev().find(|column| column.x <= at.x)?;
        is_title.then_some(column.kind)
    }

    /// The number of the row at this place.
    pub fn row_at(&self, at: Position) -> Option<usize> {
        let place = self.offset + usize::from(at.y.checked_sub(self.area.y + 1)?);
        (self.area.contains(at) && place < self.entries.len()).then_some(place)
    }

    /// Draws it. `focused`: the keys go to it.
    pub fn render(&self, data: &Data, ui: &Ui, theme: Theme, focused: bool, buffer: &mut Buffer) {
        if self.area.is_empty() {
            return;
        }
        for column in &self.columns {
            let title = match column.kind {
                Kind::Rate if self.pane == Pane::Tcp => "EVENTS/S",
                Kind::Rate => "DROPS/S",
                Kind::Total if self.pane == Pane::Tcp => "EVENTS",
                Kind::Total => "DROPS",
                Kind::Share => "SHARE",
                Kind::Trend => "TREND",
                Kind::Text(number) => self.pane.columns()[number],
            };
            let sorts = matches!(
                (ui.sort, column.kind),
                (Sort::Rate, Kind::Rate) | (Sort::Total, Kind::Total) | (Sort::Name, Kind::Text(0))
            );
            let style = if sorts { theme.strong().add_modifier(Modifier::UNDERLINED) } else { theme.faint() };
            put(buffer, self.area.y, *column, title, style);
        }
        let all = Counted::of(data.entries(self.pane), ui.sort);
        let rows = usize::from(self.area.height.saturating_sub(1));
        for (line, entry) in self.entries.iter().skip(self.offset).take(rows).enumerate() {
            let y = self.area.y + 1 + u16::try_from(line).unwrap_or(u16::MAX);
            let is_selected = focused && self.offset + line == self.selected;
            let base = if is_selected { theme.selected() } else { Style::new() };
            if is_selected {
                buffer.set_style(Rect::new(self.area.x, y, self.area.width, 1), base);
            }
            for column in &self.columns {
                let style = if is_selected { base } else { style(entry, column.kind, theme) };
                put(buffer, y, *column, &text(entry, column, data, all), style);
            }
        }
        if self.entries.is_empty() && rows > 0 {
            let why = match (ui.filter.is_empty(), self.pane.is_estimated()) {
                (true, _) if self.pane == Pane::Tcp => "nothing sent again, no resets yet",
                (false, _) => "nothing here has that in it; Esc shows all",
                (true, true) => "no drops in detail yet",
                (true, false) => "no drops yet",
            };
            let width = usize::from(self.area.width);
            buffer.set_stringn(self.area.x, self.area.y + 1, cut(why, width), width, theme.faint());
        }
    }
}

/// What all entries come to, by what they are ordered by.
#[derive(Clone, Copy)]
struct Counted {
    sum: u64,
    by_total: bool,
}

impl Counted {
    fn of(entries: &[Entry], sort: Sort) -> Self {
        let by_total = sort == Sort::Total;
        let mut all = Self { sum: 0, by_total };
        all.sum = entries.iter().map(|entry| all.count(entry)).sum();
        all
    }

    fn count(self, entry: &Entry) -> u64 {
        if self.by_total { entry.total.packets } else { entry.interval.packets }
    }

    /// `54.3%`; nothing of nothing.
    fn share(self, entry: &Entry) -> String {
        let count = self.count(entry);
        let tenths = u128::from(count) * 1000 / u128::from(self.sum.max(1));
        match tenths {
            _ if count == 0 => String::new(),
            1000 => "100%".into(),
            0 => "<0.1%".into(),
            tenths => format!("{}.{}%", tenths / 10, tenths % 10),
        }
    }
}

fn text(entry: &Entry, column: &Column, data: &Data, all: Counted) -> String {
    let about = if entry.estimated { "~" } else { "" };
    let width = usize::from(column.width);
    match column.kind {
        Kind::Rate if entry.interval.packets == 0 => "0".into(),
        Kind::Rate => format!("{about}{}", per_second(entry.interval.packets, data.interval)),
        Kind::Total => format!("{about}{}", thousands(entry.total.packets)),
        Kind::Share => all.share(entry),
        Kind::Trend => {
            let from = entry.trend.len().saturating_sub(width);
            let drops: Vec<_> = entry.trend.iter().skip(from).copied().collect();
            // The latest stands at the right.
            format!("{:>width$}", sparkline(&drops))
        }
        Kind::Text(number) => {
            let cell = entry.cells[number].as_str();
            // A site's offset is the first to go where room is short.
            let short = cell.rsplit_once("+0x").filter(|_| cell.width() > width && !cell.contains(' '));
            cut(short.map_or(cell, |(function, _)| function), width)
        }
    }
}

fn style(entry: &Entry, kind: Kind, theme: Theme) -> Style {
    let class = theme.class(entry.class);
    match kind {
        Kind::Trend | Kind::Text(0) => class,
        Kind::Rate if entry.interval.packets > 0 => theme.strong(),
        Kind::Rate | Kind::Share | Kind::Total | Kind::Text(_) if entry.interval.packets == 0 => {
            class.patch(theme.faint())
        }
        _ => Style::new(),
    }
}

/// Numbers stand right, all else left.
fn put(buffer: &mut Buffer, y: u16, column: Column, text: &str, style: Style) {
    let is_number = matches!(column.kind, Kind::Rate | Kind::Total | Kind::Share);
    let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
    let shift = if is_number { column.width.saturating_sub(width) } else { 0 };
    buffer.set_stringn(column.x + shift, y, text, usize::from(column.width), style);
}

/// Which columns there is room for, and where.
fn fit(pane: Pane, shown: &[&Entry], data: &Data, area: Rect) -> Vec<Column> {
    let widest = |least: usize, text: &dyn Fn(&Entry) -> String| {
        let texts = shown.iter().map(|entry| text(entry).width()).max().unwrap_or(0);
        u16::try_from(texts.max(least)).unwrap_or(u16::MAX).min(WIDEST)
    };
    let mut columns =
        vec![(Kind::Rate, widest(8, &|entry| per_second(entry.interval.packets, data.interval) + "~"))];
    let natural = |number: usize| {
        let title = pane.columns()[number].width();
        widest(title, &|entry| entry.cells[number].clone())
    };
    let mut two = [natural(0), natural(1)];
    // Where room is short, the names come first.
    let whole = two[0] + GAP + two[1];
    let mut add = |kind, width: u16| {
        let used: u16 = columns.iter().map(|(_, width)| width + GAP).sum();
        if area.width >= ROOMY || used + width + GAP + whole <= area.width {
            columns.push((kind, width));
        }
    };
    add(Kind::Total, widest(9, &|entry| thousands(entry.total.packets) + "~"));
    add(Kind::Share, 5);
    // A connection is both of its ends: they come before the trend.
    let used: u16 = columns.iter().map(|(_, width)| width + GAP).sum();
    let both = if pane == Pane::Tcp { used + whole + GAP + natural(2) } else { 0 };
    if area.width >= ROOMY && (both > area.width || both + TREND + GAP <= area.width) {
        columns.push((Kind::Trend, TREND));
    }
    let used: u16 = columns.iter().map(|(_, width)| width + GAP).sum();
    let mut left = area.width.saturating_sub(used);
    while two[0] + GAP + two[1] > left && two.iter().any(|width| *width > 1) {
        let widest = usize::from(two[1] >= two[0]);
        two[widest] -= 1;
    }
    left = left.saturating_sub(two[0] + GAP + two[1]);
    columns.extend([(Kind::Text(0), two[0]), (Kind::Text(1), two[1])]);
    for number in 2..pane.columns().len() {
        let is_empty = shown.iter().all(|entry| entry.cells[number].is_empty());
        let width = natural(number);
        if !is_empty && width + GAP <= left {
            columns.push((Kind::Text(number), width));
            left -= width + GAP;
        }
    }
    for (kind, width) in &mut columns {
        if *kind == Kind::Trend {
            *width = (*width + left).min(TREND_WIDEST);
        }
    }
    place(columns, area)
}

fn place(columns: Vec<(Kind, u16)>, area: Rect) -> Vec<Column> {
    let mut x = area.x;
    let mut placed = Vec::new();
    for (kind, width) in columns {
        let width = width.min(area.right().saturating_sub(x));
        if width > 0 {
            placed.push(Column { kind, x, width });
        }
        x = x.saturating_add(width + GAP);
    }
    placed
}
