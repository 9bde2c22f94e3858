//! The little language of `settings.rec`: `.0 > .1 or . = 0 and net.ipv4.tcp_tw_reuse = 1`, `. > ram/8`.

use super::host::Host;
use crate::doctor::parts::Sysctls;

/// What a condition is about.
#[derive(Clone, Copy)]
pub struct Terms<'w> {
    /// The setting that `.` stands for.
    pub key: &'static str,
    pub settings: &'w Sysctls,
    pub host: &'w Host,
}

/// A number or a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(i128),
    Word(String),
}

impl Terms<'_> {
    /// Whether it holds. Where a setting isn't there, nothing is said of it.
    pub fn hold(&self, condition: &str) -> bool {
        condition.split(" or ").any(|all| all.split(" and ").all(|one| self.holds(one) == Some(true)))
    }

    fn holds(&self, comparison: &str) -> Option<bool> {
        let mut words = comparison.split_ascii_whitespace();
        let (one, operator, other) = (words.next()?, words.next()?, words.next()?);
        let (one, other) = (self.value(one)?, self.value(other)?);
        Some(match (operator, one, other) {
            ("=", one, other) => one == other,
            ("!=", one, other) => one != other,
            ("<", Value::Number(one), Value::Number(other)) => one < other,
            (">", Value::Number(one), Value::Number(other)) => one > other,
            (">=", Value::Number(one), Value::Number(other)) => one >= other,
            _ => return None,
        })
    }

    /// What is to be set: `sorted`, or something that is computed.
    pub fn text(&self, value: &str) -> Option<String> {
        if value == "sorted" {
            let mut numbers = self.numbers()?;
            numbers.sort_unstable();
            return Some(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        }
        Some(match self.value(value)? {
            Value::Number(number) => number.to_string(),
            Value::Word(word) => word,
        })
    }

    /// The settings that a condition names.
    pub fn keys(condition: &str) -> Vec<&str> {
        let words =
            condition.split_ascii_whitespace().map(|word| word.split(['*', '/']).next().unwrap_or(word));
        let mut keys: Vec<&str> = words.filter(|word| word.starts_with("net.")).collect();
        keys.dedup();
        keys
    }

    fn numbers(&self) -> Option<Vec<i128>> {
        let words = self.settings.get(self.key)?.split_ascii_whitespace();
        words.map(|word| word.parse().ok()).collect()
    }

    fn value(&self, text: &str) -> Option<Value> {
        if let Some((base, factor)) = text.split_once(['*', '/']) {
            let (Value::Number(base), factor) = (self.value(base)?, factor.parse::<i128>().ok()?) else {
                return None;
            };
            let is_product = text.contains('*');
            let number = if is_product { base.checked_mul(factor)? } else { base.checked_div(factor)? };
            return Some(Value::Number(number));
        }
        let known = |number: u64| (number > 0).then_some(Value::Number(number.into()));
        match text {
            "." => self.settings.get(self.key).map(Value::of),
            ".0" | ".1" | ".2" => {
                let place = text.get(1..)?.parse::<usize>().ok()?;
                self.numbers()?.get(place).copied().map(Value::Number)
            }
            "ram" => known(self.host.ram),
            "pages" => known(self.host.ram.checked_div(self.host.page)?),
            "kernel" => known(self.host.kernel),
            "uplinks" => Some(Value::Number(self.host.uplinks.into())),
            "bridges" => Some(Value::Number(self.host.bridges.into())),
            key if key.starts_with("net.") => self.settings.get(key).map(Value::of),
            literal => Some(Value::of(literal)),
        }
    }
}

impl Value {
    fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Word(text.to_owned()), Self::Number)
    }
}
