//! From text to tokens.

/// A token and the bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'t> {
    pub position: usize,
    pub kind: Kind<'t>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'t> {
    /// A name, a pattern, a number.
    Word(&'t str),
    /// `=`, `!=`, `>` and so on, `&&`, `||`, a parenthesis, a comma.
    Sign(&'t str),
    /// Nothing more.
    End,
}

/// Two letters before one, so that `>=` isn't `>`.
const SIGNS: [&str; 12] = ["&&", "||", "!=", "==", ">=", "<=", "=", ">", "<", "(", ")", ","];

/// The token at or after `position`; whatever is no sign is part of a word.
pub fn token(text: &str, position: usize) -> Token<'_> {
    let rest = &text[position..];
    let blank = rest.len() - rest.trim_start().len();
    let (position, rest) = (position + blank, &rest[blank..]);
    let sign = |text: &str| SIGNS.into_iter().find(|sign| text.starts_with(sign));
    let kind = match sign(rest) {
        _ if rest.is_empty() => Kind::End,
        Some(sign) => Kind::Sign(&rest[..sign.len()]),
        None => {
            let mut letters = rest.char_indices();
            let end = letters.find(|(at, letter)| letter.is_whitespace() || sign(&rest[*at..]).is_some());
            Kind::Word(&rest[..end.map_or(rest.len(), |(at, _)| at)])
        }
    };
    Token { position, kind }
}

impl Token<'_> {
    /// Bytes before the next one.
    pub fn end(&self) -> usize {
        self.position
            + match self.kind {
                Kind::Word(text) | Kind::Sign(text) => text.len(),
                Kind::End => 0,
            }
    }
}
