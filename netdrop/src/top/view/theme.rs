//! What is shown how. Without colour, bold, faint and reversed remain.

use ratatui::style::{Color, Modifier, Style};

use crate::knowledge::Class;

/// The styles.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Whether to colour.
    pub color: bool,
}

#[expect(clippy::unused_self, reason = "whether a style depends on the theme is the theme's matter")]
impl Theme {
    /// Titles.
    pub fn title(self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// What counts most.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there to be found, not to be read all the time.
    pub fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Commands to be copied.
    pub fn command(self) -> Style {
        self.colored(Color::Green)
    }

    /// What must not be overlooked.
    pub fn alert(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// The selected row.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// A class: what needs a person is warm, what is normal is faint; as in the table of `watch`.
    pub fn class(self, class: Option<Class>) -> Style {
        match class {
            Some(Class::Congestion) => self.colored(Color::Red),
            Some(Class::Policy) => self.colored(Color::Yellow),
            Some(Class::Malformed) => self.colored(Color::Magenta),
            Some(Class::Routing) => self.colored(Color::Cyan),
            Some(Class::NoReceiver) => self.colored(Color::LightBlue),
            Some(Class::Lifecycle) => self.faint(),
            Some(Class::Unknown) | None => Style::new(),
        }
    }

    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }
}
