//! `--function`.

use netdrop_common::{FunctionRule, group};

use super::explain::{Evaluated, Explained, list};
use super::{Choice, FilterError, Resolver, rules::Rules};

/// Adds a rule for each piece of each function.
pub fn add(
    functions: &Choice,
    resolver: &mut impl Resolver,
    rules: &mut Rules,
    explained: &mut Vec<Explained>,
) -> Result<(), FilterError> {
    for (name, group) in functions.each(group::FUNCTION) {
        let ranges = resolver.function(name)?;
        let texts: Vec<_> =
            ranges.iter().map(|range| format!("{:#x}-{:#x}", range.start, range.end)).collect();
        let means = format!("code at {}", list(&texts));
        explained.push(Explained::new("function", name, group, Evaluated::Constants, means));
        for range in ranges {
            rules.function(FunctionRule { start: range.start, end: range.end }, group)?;
        }
    }
    Ok(())
}
