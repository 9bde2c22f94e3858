//! From what there is to be seen to a screen. Pure.

mod header;
mod help;
mod layout;
mod list;
mod site;
mod theme;

pub use layout::Layout;
pub use list::Kind;
pub use site::length as site_length;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Widget as _};
use unicode_width::UnicodeWidthStr as _;

use super::data::Data;
use super::pane::Pane;
use super::ui::Ui;
use super::{Playing, Recording};
use crate::model::Row;
use crate::output::Clock;
use crate::output::columns::cut;
use crate::output::fold::sentence;
use crate::units::thousands;
use theme::Theme;

/// The keys that are always told.
const ALWAYS: [(&str, &str); 2] = [("?", "help"), ("q", "quit")];

/// All that decides what is on the screen.
pub struct Screen<'t> {
    /// What is shown.
    pub data: &'t Data,
    /// What there is now, which is another where it is paused.
    pub now: &'t Data,
    /// What the user has chosen.
    pub ui: &'t Ui,
    /// Whether the picture is held still.
    pub paused: bool,
    /// What is written to a file.
    pub recording: &'t Recording,
    /// The recording that is shown.
    pub playing: Option<&'t Playing>,
    /// What times are told by.
    pub clock: &'t Clock,
    /// Whether to colour.
    pub color: bool,
}

impl Screen<'_> {
    /// Draws it.
    pub fn render(&self, area: Rect, buffer: &mut Buffer) {
        if area.is_empty() {
            return;
        }
        let layout = Layout::of(area, self.ui);
        let theme = Theme { color: self.color };
        header::render(self, theme, layout.header, buffer);
        match &self.ui.opened {
            Some(opened) => site::render(self, opened, theme, layout.body, buffer),
            None => self.panes(&layout, theme, buffer),
        }
        self.status(theme, layout.status, buffer);
        self.keys(theme, layout.footer, buffer);
        if self.ui.help {
            help::render(theme, area, buffer);
        }
    }

    fn panes(&self, layout: &Layout, theme: Theme, buffer: &mut Buffer) {
        if !layout.tabs.is_empty() {
            let tabs = layout.tabs(self.data, self.ui).into_iter().map(|(pane, name)| {
                let style = if pane == self.ui.pane { theme.selected() } else { theme.faint() };
                Span::styled(name, style)
            });
            buffer.set_line(layout.tabs.x, layout.tabs.y, &tabs.collect::<Line>(), layout.tabs.width);
        }
        for (pane, area) in &layout.panes {
            let focused = *pane == self.ui.pane;
            if layout.bordered {
                self.border(*pane, focused, theme).render(*area, buffer);
            }
            layout.list(*pane, self.data, self.ui).render(self.data, self.ui, theme, focused, buffer);
        }
    }

    fn border(&self, pane: Pane, focused: bool, theme: Theme) -> Block<'static> {
        let style = if focused { theme.title() } else { theme.faint() };
        let rows = self.ui.visible(self.data, pane).len();
        let title = format!(" {} {} ({rows}) ", pane.index() + 1, pane.title());
        let block = Block::bordered()
            .border_type(BorderType::Rounded)
            .border_style(style)
            .title(Line::styled(title, if focused { theme.title() } else { Style::new() }));
        if pane.is_estimated() {
            return block.title(Line::styled(" ~ from sampled details ", theme.faint()).right_aligned());
        }
        block
    }

    /// What is being typed, what became of a recording, or what the selected row means.
    fn status(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let width = usize::from(area.width);
        let line = if self.ui.typing {
            Line::from_iter([
                Span::styled("filter: ", theme.title()),
                Span::raw(format!("{}▏", self.ui.filter)),
            ])
        } else if let Recording::Ended(told) = self.recording {
            Line::styled(cut(told, width), theme.title())
        } else if self.ui.opened.is_some() {
            Line::default()
        } else {
            self.meaning(theme, width)
        };
        if !area.is_empty() {
            buffer.set_line(area.x, area.y, &line, area.width);
        }
    }

    fn meaning(&self, theme: Theme, width: usize) -> Line<'static> {
        let entries = self.ui.visible(self.data, self.ui.pane);
        let entry = entries.get(self.ui.selection(&entries, self.ui.pane)).filter(|entry| !entry.other);
        let of_one = matches!(self.ui.pane, Pane::Sites | Pane::Reasons | Pane::Flows);
        let row = entry.filter(|_| of_one).map(|entry| Row {
            site: entry.site.clone(),
            reason: entry.reason.clone(),
            ..Row::default()
        });
        if let Some(text) = row.as_ref().and_then(sentence) {
            let style = theme.class(entry.and_then(|entry| entry.class));
            return Line::styled(cut(&text, width), style);
        }
        let (drops, sites) = self.data.lifecycle();
        if drops == 0 || self.ui.lifecycle {
            return Line::default();
        }
        let text = format!("lifecycle: {} drops at {sites} sites, no loss; l shows them", thousands(drops));
        Line::styled(cut(&text, width), theme.faint())
    }

    /// As many as there is room for; how to get help and how to end come first.
    fn keys(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        if area.is_empty() {
            return;
        }
        let sort = format!("sort: {}", self.ui.sort.as_str());
        let record = if matches!(self.recording, Recording::On(_)) { "end recording" } else { "record" };
        let pause = if self.paused { "go on" } else { "pause" };
        let mut keys: Vec<(&str, &str)> = match (&self.ui.opened, self.ui.typing) {
            (_, true) => vec![("Enter", "keep"), ("Esc", "all rows")],
            (Some(_), _) => vec![("Esc", "back"), ("↑↓", "scroll"), ("p", pause)],
            (None, _) => vec![("Enter", "open"), ("/", "filter"), ("s", &sort), ("p", pause)],
        };
        match self.playing {
            Some(_) => keys.push(("←→", "time")),
            None if self.ui.opened.is_none() && !self.ui.typing => {
                keys.extend([("c", "clear"), ("w", record)]);
            }
            None => {}
        }
        let width = |key: &(&str, &str)| key.0.width() + key.1.width() + 3;
        let mut left = usize::from(area.width).saturating_sub(ALWAYS.iter().map(width).sum());
        keys.retain(|key| {
            let fits = width(key) <= left;
            left = if fits { left - width(key) } else { 0 };
            fits
        });
        let spans = keys.into_iter().chain(ALWAYS).flat_map(|(key, what)| {
            let gap = if what.is_empty() { "  " } else { " " };
            let what = if what.is_empty() { String::new() } else { format!("{what}  ") };
            [Span::styled(format!("{key}{gap}"), theme.strong()), Span::styled(what, theme.faint())]
        });
        buffer.set_line(area.x, area.y, &spans.collect::<Line>(), area.width);
    }
}
