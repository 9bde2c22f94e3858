//! What the user does, and what comes of it.

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;

use super::pane::Pane;
use super::ui::Sort;
use super::view::{Kind, Layout};
use super::{Recording, Top};

/// What the screen can't do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To end.
    Quit,
    /// To write what comes into a file, or to end that.
    Record,
}

/// Rows that the wheel and the keys for pages go by.
const WHEEL: isize = 3;
const PAGE: isize = 10;

impl Top {
    /// Takes what the user did; gives what is to be done about it elsewhere.
    pub fn event(&mut self, event: &Event) -> Option<Wish> {
        self.stale = true;
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key),
            Event::Mouse(mouse) => {
                self.mouse(*mouse);
                None
            }
            _ => None,
        }
    }

    fn key(&mut self, key: KeyEvent) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Some(Wish::Quit),
                KeyCode::Char('l') => self.canvas.forget(),
                _ => {}
            }
            return None;
        }
        if matches!(self.recording, Recording::Ended(_)) {
            self.recording = Recording::Off;
        }
        if self.ui.help {
            self.ui.help = false;
            return (key.code == KeyCode::Char('q')).then_some(Wish::Quit);
        }
        if self.ui.typing {
            self.type_filter(key.code);
            return None;
        }
        match key.code {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('w') if self.tape.is_none() => return Some(Wish::Record),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.ui.help = true,
            KeyCode::Char('p' | ' ') => self.pause(),
            KeyCode::Char('c') if self.tape.is_none() => self.clear(),
            KeyCode::Char('l') => self.turn_lifecycle(),
            KeyCode::Left => self.seek(-1),
            KeyCode::Right => self.seek(1),
            KeyCode::Char('[') => self.seek(-PAGE),
            KeyCode::Char(']') => self.seek(PAGE),
            code if self.ui.opened.is_some() => self.key_in_site(code),
            code => self.key_in_list(code),
        }
        None
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(letter) => self.ui.filter.push(letter),
            KeyCode::Backspace => {
                self.ui.filter.pop();
            }
            KeyCode::Enter => self.ui.typing = false,
            KeyCode::Esc => {
                self.ui.typing = false;
                self.ui.filter.clear();
            }
            _ => {}
        }
    }

    fn key_in_site(&mut self, code: KeyCode) {
        let by = match code {
            KeyCode::Esc | KeyCode::Backspace => {
                self.ui.opened = None;
                return;
            }
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::PageUp => -PAGE,
            KeyCode::PageDown => PAGE,
            KeyCode::Home => isize::MIN,
            _ => return,
        };
        self.scroll(by);
    }

    fn scroll(&mut self, by: isize) {
        let most = view_length(self);
        if let Some(opened) = &mut self.ui.opened {
            opened.scroll = opened.scroll.saturating_add_signed(by).min(most);
        }
    }

    fn key_in_list(&mut self, code: KeyCode) {
        let (pane, panes) = (self.ui.pane, Pane::shown(self.ui.tcp));
        match code {
            KeyCode::Esc => self.ui.filter.clear(),
            KeyCode::Enter => self.open(),
            KeyCode::Char('/') => self.ui.typing = true,
            KeyCode::Char('s') => self.ui.sort = self.ui.sort.next(),
            KeyCode::Tab => self.ui.pane = panes[(pane.index() + 1) % panes.len()],
            KeyCode::BackTab => self.ui.pane = panes[(pane.index() + panes.len() - 1) % panes.len()],
            KeyCode::Char(digit @ '1'..='7') => {
                let mut numbered = ('1'..).zip(panes);
                self.ui.pane = numbered.find(|(number, _)| *number == digit).map_or(pane, |(_, pane)| *pane);
            }
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            _ => {}
        }
    }

    fn step(&mut self, by: isize) {
        let data = super::shown(&self.feed, self.paused.as_deref());
        self.ui.step(data, by);
    }

    fn open(&mut self) {
        let data = super::shown(&self.feed, self.paused.as_deref());
        self.ui.open(data);
    }

    fn pause(&mut self) {
        self.paused = match self.paused.take() {
            Some(_) => None,
            None => Some(Box::new(self.feed.data.clone())),
        };
    }

    fn clear(&mut self) {
        self.paused = None;
        self.feed.clear();
        self.feed.show_lifecycle(self.ui.lifecycle);
    }

    fn turn_lifecycle(&mut self) {
        self.ui.lifecycle = !self.ui.lifecycle;
        self.feed.show_lifecycle(self.ui.lifecycle);
        if let Some(data) = &mut self.paused {
            data.show_lifecycle(self.ui.lifecycle);
        }
    }

    /// Goes so many summaries forth or back in a recording.
    fn seek(&mut self, by: isize) {
        let Some(playing) = &mut self.tape else { return };
        let at = playing.at.saturating_add_signed(by).clamp(1.min(playing.tape.len()), playing.tape.len());
        if at != playing.at {
            playing.at = at;
            self.paused = None;
            self.rewind();
        }
    }

    fn mouse(&mut self, mouse: MouseEvent) {
        let by = match mouse.kind {
            MouseEventKind::ScrollUp => -WHEEL,
            MouseEventKind::ScrollDown => WHEEL,
            MouseEventKind::Down(MouseButton::Left) => {
                self.click(Position::new(mouse.column, mouse.row));
                return;
            }
            _ => return,
        };
        if self.ui.opened.is_some() {
            self.scroll(by);
            return;
        }
        let layout = Layout::of(self.area(), &self.ui);
        if let Some(pane) = layout.pane_at(Position::new(mouse.column, mouse.row)) {
            self.ui.pane = pane;
        }
        self.step(by);
    }

    /// On a tab: its pane. On a title: the order. On a row: it is selected, and opened when it was already.
    fn click(&mut self, at: Position) {
        if self.ui.help || self.ui.opened.is_some() {
            self.ui.help = false;
            return;
        }
        let layout = Layout::of(self.area(), &self.ui);
        let data = super::shown(&self.feed, self.paused.as_deref());
        if let Some(pane) = layout.tab_at(at, data, &self.ui) {
            self.ui.pane = pane;
            return;
        }
        let Some(pane) = layout.pane_at(at) else { return };
        let list = layout.list(pane, data, &self.ui);
        let was = self.ui.pane;
        self.ui.pane = pane;
        if let Some(kind) = list.title_at(at) {
            self.ui.sort = match kind {
                Kind::Rate | Kind::Share | Kind::Trend => Sort::Rate,
                Kind::Total => Sort::Total,
                Kind::Text(_) => Sort::Name,
            };
        } else if let Some(place) = list.row_at(at) {
            let entries = self.ui.visible(data, pane);
            let again = was == pane && self.ui.selection(&entries, pane) == place;
            self.ui.select(pane, entries.get(place).copied());
            if again {
                self.ui.open(data);
            }
        }
    }
}

/// Lines of the opened site that can be scrolled away: all but the last.
fn view_length(top: &Top) -> usize {
    let Some(opened) = &top.ui.opened else { return 0 };
    super::view::site_length(top.data(), &top.clock, opened, top.area()).saturating_sub(1)
}
