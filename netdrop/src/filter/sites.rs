//! `--function`.

use netdrop_common::{FunctionRule, group};

use super::{Choice, FilterError, Resolver, rules::Rules};

/// Adds a rule for each piece of each function.
pub fn add(functions: &Choice, resolver: &mut impl Resolver, rules: &mut Rules) -> Result<(), FilterError> {
    for (name, group) in functions.each(group::FUNCTION) {
        for range in resolver.function(name)? {
            rules.function(FunctionRule { start: range.start, end: range.end }, group)?;
        }
    }
    Ok(())
}
