//! From tokens to an expression.

use super::lexer::{Kind, Token, token};
use super::{AssertionError, Bound, Expression, Member, Operator, Quantity, Selector, Test, Unit};
use crate::kernel::near::closest;
use crate::knowledge::{self, Class, Entry};

/// Parentheses within each other.
pub const MAX_DEPTH: usize = 32;

/// Reads the whole text.
pub fn parse(text: &str) -> Result<Expression, AssertionError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expression = parser.any()?;
    match parser.peek().kind {
        Kind::End => Ok(expression),
        _ => Err(parser.unexpected("and, or, or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Expression, AssertionError> {
        let mut parts = vec![self.all()?];
        while self.accept(&["or", "||"]).is_some() {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, AssertionError> {
        let mut parts = vec![self.one()?];
        while self.accept(&["and", "&&"]).is_some() {
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Expression::All))
    }

    fn one(&mut self) -> Result<Expression, AssertionError> {
        let position = self.peek().position;
        if self.accept(&["("]).is_none() {
            return self.test().map(Expression::Test);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(AssertionError::TooDeep { position });
        }
        let inside = self.any()?;
        self.accept(&[")"]).ok_or_else(|| self.unexpected("a closing parenthesis"))?;
        self.depth -= 1;
        Ok(inside)
    }

    fn test(&mut self) -> Result<Test, AssertionError> {
        let Kind::Word(word) = self.peek().kind else { return Err(self.unexpected(QUANTITY)) };
        let quantity = match word {
            "drops" | "rate" => Quantity::Drops(Vec::new()),
            "bytes" => Quantity::Bytes,
            "lost" => Quantity::Lost,
            "retransmits" => Quantity::Retransmits,
            "retransmit-ratio" => Quantity::RetransmitRatio,
            "resets" => Quantity::Resets,
            _ => Quantity::Drops(self.selectors()?),
        };
        if quantity.is_named() {
            self.next();
        }
        let Some((operator, bound)) = self.comparison()? else {
            let nothing = Bound { value: 0.0, unit: Unit::Events };
            return Ok(Test { quantity, operator: Operator::More, bound: nothing });
        };
        match (&quantity, bound.unit) {
            (Quantity::Lost, Unit::PerSecond) => return Err(AssertionError::NotARate("lost")),
            (Quantity::RetransmitRatio, Unit::Percent) => {}
            (Quantity::RetransmitRatio, _) => return Err(AssertionError::APart(word.to_owned())),
            (_, Unit::Percent) => return Err(AssertionError::NoPart(word.to_owned())),
            _ => {}
        }
        let unit = if word == "rate" { Unit::PerSecond } else { bound.unit };
        let bound = Bound { unit, ..bound };
        Ok(Test { quantity, operator, bound })
    }

    fn selectors(&mut self) -> Result<Vec<Selector>, AssertionError> {
        let mut selectors = vec![self.selector()?];
        while self.accept(&[","]).is_some() {
            selectors.push(self.selector()?);
        }
        Ok(selectors)
    }

    fn selector(&mut self) -> Result<Selector, AssertionError> {
        let member = match self.peek().kind {
            Kind::Word(name) => Member::of(name),
            _ => None,
        };
        let member = member.ok_or_else(|| self.unexpected(QUANTITY))?;
        self.next();
        let sign = self.accept(&["=", "!="]).ok_or_else(|| self.unexpected("= or !="))?;
        let Kind::Word(pattern) = self.peek().kind else { return Err(self.unexpected("a name")) };
        check(member, pattern)?;
        self.next();
        Ok(Selector { member, negated: sign == "!=", pattern: pattern.to_owned() })
    }

    fn comparison(&mut self) -> Result<Option<(Operator, Bound)>, AssertionError> {
        const OPERATORS: [(&str, Operator); 7] = [
            (">", Operator::More),
            (">=", Operator::AtLeast),
            ("<", Operator::Less),
            ("<=", Operator::AtMost),
            ("==", Operator::Equal),
            ("=", Operator::Equal),
            ("!=", Operator::Unequal),
        ];
        let Some(sign) = self.accept(&OPERATORS.map(|(sign, _)| sign)) else { return Ok(None) };
        let operator = OPERATORS.into_iter().find(|(known, _)| *known == sign).map(|(_, operator)| operator);
        let Token { position, kind } = self.peek();
        let Kind::Word(text) = kind else { return Err(self.unexpected("a number")) };
        let bound = bound(text).ok_or_else(|| AssertionError::Number { position, text: text.to_owned() })?;
        self.next();
        Ok(operator.map(|operator| (operator, bound)))
    }

    fn peek(&self) -> Token<'t> {
        token(self.text, self.at)
    }

    fn next(&mut self) {
        self.at = self.peek().end();
    }

    /// Takes the next token if it is one of `words`.
    fn accept(&mut self, words: &[&str]) -> Option<&'t str> {
        let (Kind::Word(text) | Kind::Sign(text)) = self.peek().kind else { return None };
        words.contains(&text).then(|| self.next())?;
        Some(text)
    }

    fn unexpected(&self, expected: &'static str) -> AssertionError {
        let Token { position, kind } = self.peek();
        let found = match kind {
            Kind::Word(text) | Kind::Sign(text) => text.to_owned(),
            Kind::End => "the end".to_owned(),
        };
        AssertionError::Unexpected { position, found, expected }
    }
}

const QUANTITY: &str = "drops, rate, bytes, lost, retransmits, retransmit-ratio, resets, or class=, reason=, function=, device=, netns=, proto=";

impl Quantity {
    /// Whether it is a word of its own.
    fn is_named(&self) -> bool {
        !matches!(self, Self::Drops(selectors) if !selectors.is_empty())
    }
}

fn one_or(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}

/// `10`, `5k`, `2M`, `100/s`, `0.5%`.
fn bound(text: &str) -> Option<Bound> {
    if let Some(percent) = text.strip_suffix('%') {
        let is_number = percent.starts_with(|first: char| first.is_ascii_digit())
            && percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let value = percent.parse::<f64>().ok().filter(|_| is_number)? / 100.0;
        return Some(Bound { value, unit: Unit::Percent });
    }
    let (number, per_second) = text.strip_suffix("/s").map_or((text, false), |number| (number, true));
    let (digits, unit) = match number.as_bytes().last()? {
        b'k' => (&number[..number.len() - 1], 1_000),
        b'M' => (&number[..number.len() - 1], 1_000_000),
        _ => (number, 1),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a bound that differs in the 16th digit is none")]
    let value = digits.parse::<u64>().ok()?.checked_mul(unit)? as f64;
    Some(Bound { value, unit: if per_second { Unit::PerSecond } else { Unit::Events } })
}

/// A name without `*` must be one that exists: a mistyped one would never fail a run.
fn check(member: Member, pattern: &str) -> Result<(), AssertionError> {
    if pattern.contains('*') {
        return Ok(());
    }
    let reasons =
        knowledge::entries().filter(|entry| entry.kind() == knowledge::Kind::Reason).map(Entry::name);
    match member {
        Member::Class => pattern.parse::<Class>().map(drop).map_err(AssertionError::from),
        Member::Reason if knowledge::reason(&pattern.to_ascii_uppercase()).is_none() => {
            Err(AssertionError::Reason { name: pattern.to_owned(), suggestion: closest(pattern, reasons) })
        }
        _ => Ok(()),
    }
}
