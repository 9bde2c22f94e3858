//! The keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Widget as _};

use super::theme::Theme;

const KEYS: [(&str, &str); 17] = [
    ("1 … 6, Tab", "another pane: sites, reasons, flows, …"),
    ("↑ ↓ PgUp PgDn", "another row (also j k, the wheel, a click)"),
    ("Enter", "look into it: a site's meaning, remedy, packets"),
    ("Esc", "back; all rows again"),
    ("/", "only rows that have this in them"),
    ("s", "order by rate, total or name (or click a title)"),
    ("p, Space", "hold the picture still; counting goes on"),
    ("c", "count from zero; the kernel's counts go on"),
    ("l", "show lifecycle drops too, which are no loss"),
    ("w", "write what comes into a file; w again ends it"),
    ("← → [ ]", "in a recording: back and forth in time"),
    ("Ctrl-L", "draw the screen anew"),
    ("q, Ctrl-C", "end"),
    ("", ""),
    ("~", "an estimate from sampled details"),
    ("seen", "= detailed + sampled out + lost + filtered"),
    ("", "counts are exact, whatever details are lost"),
];

/// Draws them over all else.
pub fn render(theme: Theme, area: Rect, buffer: &mut Buffer) {
    const WIDTH: u16 = 70;
    let height = u16::try_from(KEYS.len()).unwrap_or(u16::MAX) + 2;
    let (width, height) = (WIDTH.min(area.width), height.min(area.height));
    let place =
        Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    Clear.render(place, buffer);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .padding(Padding::horizontal(1))
        .title(Line::styled(" Keys ", theme.title()))
        .title_bottom(Line::styled(" any key goes back ", theme.faint()).right_aligned());
    let inner = block.inner(place);
    block.render(place, buffer);
    for ((keys, what), y) in KEYS.iter().zip(inner.y..inner.bottom()) {
        let line = Line::from_iter([Span::styled(format!("{keys:<15}"), theme.strong()), Span::raw(*what)]);
        buffer.set_line(inner.x, y, &line, inner.width);
    }
}
