//! From what a person names (a reason, a function, a number, an address) to what is known about it.

use super::base::{check, entries, reason, reset, setting, site, trap};
use super::entry::{Entry, Kind};
use crate::kernel::near::closest;
use crate::kernel::symbols::SymbolsError;

/// What stands before a reason's own name in the kernel's enum.
const PREFIX: &str = "SKB_DROP_REASON_";
/// The same of a reset's.
const RESET_PREFIX: &str = "SK_RST_REASON_";

/// The running kernel, as far as numbers and addresses need it. Names need no kernel.
pub trait Kernel {
    /// The name of the reason with this number.
    fn reason(&mut self, number: u32) -> Option<String>;
    /// The function at an address, and the offset in it.
    fn function(&mut self, address: u64) -> Result<Option<(String, u64)>, SymbolsError>;
}

/// What is known about what was asked.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The question, as it was written.
    pub asked: String,
    /// The name that a number or an address stands for on this kernel.
    pub meant: Option<String>,
    /// A reason, a function, a trap, a reset, or several of one name; never empty.
    pub entries: Vec<&'static Entry>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No reason, function, trap or reset that is known.
    #[error("nothing is known about `{name}`{}", suggestions(near))]
    Unknown {
        /// What was asked for, or what it stands for.
        name: String,
        /// Names that are like it.
        near: Vec<&'static str>,
    },
    /// A reason's number that has no name.
    #[error(
        "this kernel has no name for drop reason {0} (`netdrop check --reasons` lists those that it has)"
    )]
    Number(String),
    /// An address outside of all functions.
    #[error("no function of this kernel is at {0}: an address is good until the next boot only")]
    Address(String),
    /// A number or address that can't be looked up.
    #[error("{0} can't be looked up: {1}")]
    Symbols(String, SymbolsError),
}

fn suggestions(near: &[&str]) -> String {
    if near.is_empty() {
        return " (`netdrop explain --list` shows all names)".into();
    }
    let near: Vec<_> = near.iter().map(|name| format!("`{name}`")).collect();
    format!("; did you mean {}?", near.join(" or "))
}

/// Looks up a reason (in any case, with or without `SKB_DROP_REASON_`), a reset's reason (likewise, `SK_RST_REASON_`), a function
/// (with or without an offset), a trap, a check of the doctor's, a drop reason's number, or a code address.
///
/// # Errors
/// When nothing is known about it, with the names that are nearest.
pub fn ask(text: &str, kernel: &mut impl Kernel) -> Result<Answer, AskError> {
    match number(text) {
        None => named(text).map(|entries| Answer { asked: text.into(), meant: None, entries }),
        Some(number) => {
            let meant = meaning_of(text, number, kernel)?;
            // A number is a drop reason's: a reset of the same name isn't meant.
            let mut entries = named(&meant)?;
            entries.retain(|entry| entry.kind().is_drop());
            if entries.is_empty() {
                return Err(AskError::Unknown { name: meant, near: Vec::new() });
            }
            Ok(Answer { asked: text.into(), meant: Some(meant), entries })
        }
    }
}

/// Reasons are 32 bits wide, and code lies far above.
fn meaning_of(text: &str, number: u64, kernel: &mut impl Kernel) -> Result<String, AskError> {
    if let Ok(reason) = u32::try_from(number) {
        return kernel.reason(reason).ok_or_else(|| AskError::Number(text.into()));
    }
    let found = kernel.function(number).map_err(|error| AskError::Symbols(text.into(), error))?;
    let (function, offset) = found.ok_or_else(|| AskError::Address(text.into()))?;
    Ok(format!("{function}+{offset:#x}"))
}

/// `3`, `0x30005`, `0xffffffff81c3f2a1`, or an address as kallsyms writes it, without `0x`.
fn number(text: &str) -> Option<u64> {
    const ADDRESS_DIGITS: usize = 16;
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hex.or(Some(text).filter(|text| text.len() == ADDRESS_DIGITS)) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn named(text: &str) -> Result<Vec<&'static Entry>, AskError> {
    let upper = text.to_ascii_uppercase();
    if let Some(own) = upper.strip_prefix(RESET_PREFIX) {
        let unknown = || AskError::Unknown { name: text.into(), near: near_names(own, &[Kind::Reset]) };
        return Ok(vec![reset(own).ok_or_else(unknown)?]);
    }
    let of_drops = upper.starts_with(PREFIX);
    let own = upper.strip_prefix(PREFIX).unwrap_or(&upper);
    let function = text.split('+').next().unwrap_or(text);
    // The enum's two oldest have a short prefix (SKB_CONSUMED), and some names begin with SKB_ themselves.
    let by_reason = reason(own).or_else(|| reason(own.strip_prefix("SKB_")?));
    let by_reset = reset(own).filter(|_| !of_drops);
    let entries: Vec<_> = by_reason
        .into_iter()
        .chain(site(function))
        .chain(trap(text))
        .chain(by_reset)
        .chain(check(text))
        .chain(setting(text))
        .collect();
    if entries.is_empty() {
        return Err(AskError::Unknown { name: text.into(), near: near(own, function) });
    }
    Ok(entries)
}

/// The nearest reason, function, trap and reset, as far as there are any.
fn near(own: &str, function: &str) -> Vec<&'static str> {
    let reasons = near_names(own, &[Kind::Reason, Kind::Reset]);
    reasons
        .into_iter()
        .chain(near_names(function, &[Kind::Function, Kind::Trap, Kind::Check, Kind::Setting]))
        .collect()
}

/// The nearest of each kind; a name that two have once.
fn near_names(wanted: &str, kinds: &[Kind]) -> Vec<&'static str> {
    let names = |kind| entries().filter(move |entry| entry.kind() == kind).map(Entry::name);
    let mut near: Vec<_> = kinds.iter().filter_map(|kind| closest(wanted, names(*kind))).collect();
    near.dedup();
    near
}
