//! Text from outside in documents of others' grammars.

use std::fmt::{self, Write as _};

/// Text in HTML, SVG or XML: between tags, or in an attribute in double quotes.
pub struct Markup<'a>(&'a str);

/// `text` so that it is nothing but text. What XML 1.0 can't hold becomes U+FFFD.
pub fn markup(text: &str) -> Markup<'_> {
    Markup(text)
}

impl fmt::Display for Markup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(letter)),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}'),
            other => f.write_char(other),
        })
    }
}
