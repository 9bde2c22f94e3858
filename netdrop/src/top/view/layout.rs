//! What stands where, for drawing and for the mouse.

use ratatui::layout::{Position, Rect};
use unicode_width::UnicodeWidthStr as _;

use super::super::data::Data;
use super::super::pane::Pane;
use super::super::ui::Ui;
use super::list::List;

/// From this size on, all panes are shown at once.
const WIDE: u16 = 120;
const HIGH: u16 = 30;

/// What stands where.
#[derive(Debug)]
pub struct Layout {
    /// Rates and accounts.
    pub header: Rect,
    /// The names of the panes, where only one is shown.
    pub tabs: Rect,
    /// The panes that are shown, with their borders if they have some.
    pub panes: Vec<(Pane, Rect)>,
    /// Whether they have.
    pub bordered: bool,
    /// All that is between header and status, tabs included.
    pub body: Rect,
    /// A sentence about the selected row.
    pub status: Rect,
    /// The keys.
    pub footer: Rect,
}

impl Layout {
    /// For a screen of this size.
    pub fn of(area: Rect, ui: &Ui) -> Self {
        let row = |y: u16, height: u16| Rect { y: area.y + y.min(area.height), height, ..area };
        let header = area.height.min(if area.height >= 8 { 2 } else { 1 });
        let footer = u16::from(area.height >= 6);
        let status = u16::from(area.height >= 10);
        let body = row(header, area.height - header - footer - status);
        let bordered = area.width >= WIDE && area.height >= HIGH;
        let tabs = Rect { height: u16::from(!bordered && area.height >= 6), ..body };
        let list = Rect { y: body.y + tabs.height, height: body.height - tabs.height, ..body };
        Self {
            header: row(0, header),
            tabs,
            panes: if bordered { grid(body, ui.tcp) } else { vec![(ui.pane, list)] },
            bordered,
            body,
            status: row(header + body.height, status),
            footer: row(header + body.height + status, footer),
        }
    }

    /// The pane at this place.
    pub fn pane_at(&self, at: Position) -> Option<Pane> {
        self.panes.iter().find(|(_, area)| area.contains(at)).map(|(pane, _)| *pane)
    }

    /// The pane whose name is there.
    pub fn tab_at(&self, at: Position, data: &Data, ui: &Ui) -> Option<Pane> {
        if !self.tabs.contains(at) {
            return None;
        }
        let mut x = self.tabs.x;
        self.tabs(data, ui).into_iter().find_map(|(pane, text)| {
            x += u16::try_from(text.width()).unwrap_or(u16::MAX);
            (at.x < x).then_some(pane)
        })
    }

    /// The names of all panes with the number of their rows; where there is no room, of the one that is shown.
    pub fn tabs(&self, data: &Data, ui: &Ui) -> Vec<(Pane, String)> {
        let name = |pane: Pane, is_short: bool| {
            let number = pane.index() + 1;
            if is_short {
                return format!(" {number} ");
            }
            match ui.visible(data, pane).len() {
                0 => format!(" {number} {} ", pane.title()),
                rows => format!(" {number} {} {rows} ", pane.title()),
            }
        };
        let panes = Pane::shown(ui.tcp);
        let long: Vec<_> = panes.iter().map(|pane| (*pane, name(*pane, false))).collect();
        let width: usize = long.iter().map(|(_, text)| text.width()).sum();
        if width <= usize::from(self.tabs.width) {
            return long;
        }
        panes.iter().map(|pane| (*pane, name(*pane, *pane != ui.pane))).collect()
    }

    /// The rows of a pane.
    pub fn list<'d>(&self, pane: Pane, data: &'d Data, ui: &Ui) -> List<'d> {
        let area = self.panes.iter().find(|(shown, _)| *shown == pane).map_or(Rect::ZERO, |(_, area)| *area);
        List::new(pane, if self.bordered { inside(area) } else { area }, data, ui)
    }
}

/// A row of panes: its first line, its height, and what part of its width each has, in hundredths.
type Shelf = (u16, u16, &'static [(Pane, u16)]);

/// Sites above, all others in two rows below.
fn grid(area: Rect, tcp: bool) -> Vec<(Pane, Rect)> {
    let above = area.height * 2 / 5;
    let below = (area.height - above) / 2;
    let rows: [Shelf; 3] = [
        (0, above, &[(Pane::Sites, 100)]),
        (above, below, &[(Pane::Reasons, 45), (Pane::Flows, 55)]),
        (
            above + below,
            area.height - above - below,
            if tcp {
                &[(Pane::Devices, 18), (Pane::Namespaces, 18), (Pane::Owners, 24), (Pane::Tcp, 40)]
            } else {
                &[(Pane::Devices, 32), (Pane::Namespaces, 32), (Pane::Owners, 36)]
            },
        ),
    ];
    let mut panes = Vec::new();
    for (y, height, row) in rows {
        let mut x = 0;
        for (place, (pane, percent)) in row.iter().enumerate() {
            let part = u16::try_from(u32::from(area.width) * u32::from(*percent) / 100).unwrap_or(u16::MAX);
            let width = if place + 1 == row.len() { area.width - x } else { part };
            panes.push((*pane, Rect::new(area.x + x, area.y + y, width, height)));
            x += width;
        }
    }
    panes
}

/// Without its border, and a column of air at each side.
pub fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x + 2.min(area.width),
        y: area.y + 1.min(area.height),
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    }
}
