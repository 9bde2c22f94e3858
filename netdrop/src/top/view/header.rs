//! The first two lines: how much is dropped now, and where every drop and every detail went.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::Recording;
use super::Screen;
use super::theme::Theme;
use crate::model::Accounts;
use crate::output::sparkline;
use crate::units::{elapsed, per_second, rate, thousands};

/// Below this width numbers are rounded.
const NARROW: u16 = 72;
/// The trend of all drops has no less, and no more room.
const TREND: [usize; 2] = [8, 60];

/// Draws them.
pub fn render(screen: &Screen<'_>, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let width = usize::from(area.width);
    let right = state(screen, theme);
    let mut left = rates(screen, theme, area.width < NARROW);
    let room = width.saturating_sub(left.width() + right.width() + 4);
    if room >= TREND[0] {
        let trend = &screen.data.trend;
        let from = trend.len().saturating_sub(room.min(TREND[1]));
        let drops: Vec<_> = trend.iter().skip(from).copied().collect();
        left.push_span(Span::raw("  "));
        left.push_span(Span::styled(sparkline(&drops), theme.title()));
    }
    buffer.set_line(area.x, area.y, &left, area.width);
    let taken = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
    buffer.set_line(area.right() - taken, area.y, &right, taken);
    if area.height > 1 {
        let line = accounts(&screen.now.accounts, theme, area.width < NARROW);
        buffer.set_line(area.x, area.y + 1, &line, area.width);
        let (noise, _) = screen.data.lifecycle();
        let note = format!("{} lifecycle (l)", thousands(noise));
        let length = u16::try_from(note.len()).unwrap_or(u16::MAX);
        let room = usize::from(area.width).saturating_sub(line.width() + 2);
        if noise > 0 && !screen.ui.lifecycle && note.len() <= room {
            buffer.set_string(area.right() - length, area.y + 1, note, theme.faint());
        }
    }
}

fn rates(screen: &Screen<'_>, theme: Theme, narrow: bool) -> Line<'static> {
    let data = screen.data;
    let drops = data.accounts.passed();
    let time = elapsed(std::time::Duration::from_secs(data.elapsed.as_secs()));
    let all = if narrow { short(drops) } else { thousands(drops) };
    let mut spans = Vec::new();
    // A recording's name takes that place.
    if !narrow && screen.playing.is_none() {
        spans.push(Span::styled("netdrop top  ", theme.title()));
    }
    spans.push(Span::styled(format!("{}/s", per_second(data.drops, data.interval)), theme.strong()));
    spans.push(Span::raw(format!("  {all} drops in {time}")));
    Line::from(spans)
}

/// Whether it is live, held, filtered, recorded.
fn state(screen: &Screen<'_>, theme: Theme) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut add = |text: String, style| {
        spans.push(Span::raw(" "));
        spans.push(Span::styled(text, style));
    };
    if !screen.ui.filter.is_empty() && !screen.ui.typing {
        add(format!("/{}", screen.ui.filter), theme.title());
    }
    if let Recording::On(file) = screen.recording {
        add(format!("● {file}"), theme.alert());
    }
    if let Some(playing) = screen.playing {
        let time = screen.clock.clone().time_of_day(screen.data.time).to_owned();
        add(format!("{} {time} ({}/{})", playing.name, playing.at, playing.tape.len()), theme.title());
    }
    if screen.paused {
        add(" PAUSED ".into(), theme.selected());
    }
    Line::from(spans)
}

/// `seen 5 = detailed 3 + sampled out 1 + lost 1`, and what no row counts.
fn accounts(accounts: &Accounts, theme: Theme, narrow: bool) -> Line<'static> {
    let number = |count: u64| if narrow { short(count) } else { thousands(count) };
    let (words, gap) = if narrow {
        (["seen", "det", "out", "lost", "filt"], " ")
    } else {
        (["seen", "detailed", "sampled out", "lost", "filtered"], " + ")
    };
    let mut spans = vec![
        Span::raw(format!("{} {}", words[0], number(accounts.seen))),
        Span::styled(if narrow { " " } else { " = " }, theme.faint()),
        Span::styled(format!("{} {}", words[1], number(accounts.detailed)), theme.faint()),
        Span::styled(gap, theme.faint()),
        Span::styled(format!("{} {}", words[2], number(accounts.sampled_out)), theme.faint()),
        Span::styled(gap, theme.faint()),
    ];
    let lost = if accounts.ring_full > 0 { theme.alert() } else { theme.faint() };
    spans.push(Span::styled(format!("{} {}", words[3], number(accounts.ring_full)), lost));
    if accounts.filtered > 0 {
        spans.push(Span::styled(format!("{gap}{} {}", words[4], number(accounts.filtered)), theme.faint()));
    }
    for (count, what) in [(accounts.table_full, "in no row"), (accounts.recursion_misses, "unseen")] {
        if count > 0 {
            spans.push(Span::styled(format!(" · {} {what}", number(count)), theme.alert()));
        }
    }
    Line::from(spans)
}

/// `489 k`
fn short(count: u64) -> String {
    let text = rate(count, std::time::Duration::from_secs(1));
    text.trim_end_matches("/s").to_owned()
}
