//! The terminal that the live table is on.

use crate::output::View;

/// Its size and whether it shows colour.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    color: bool,
}

/// What a terminal has that doesn't tell its size, or says that it has none: one that a container's engine or a test makes, say.
const FALLBACK: (u16, u16) = (80, 24);

impl Terminal {
    /// The terminal on standard output.
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    /// Its size now.
    pub fn view(self) -> View {
        let (width, height) = usable(crossterm::terminal::size().ok());
        View { width: width.into(), height: height.into(), color: self.color }
    }
}

fn usable(told: Option<(u16, u16)>) -> (u16, u16) {
    told.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(FALLBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Some((132, 43)), (132, 43))]
    #[case(Some((0, 0)), FALLBACK)]
    #[case(Some((80, 0)), FALLBACK)]
    #[case(None, FALLBACK)]
    fn a_terminal_without_a_size_has_the_usual_one(
        #[case] told: Option<(u16, u16)>,
        #[case] size: (u16, u16),
    ) {
        assert_eq!(usable(told), size);
    }
}
