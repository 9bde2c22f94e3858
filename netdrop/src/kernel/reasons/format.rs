//! The `print fmt` of a tracepoint's format file in tracefs (Documentation/trace/events.rst).

/// The (value, symbol) pairs of `__print_symbolic(REC->field, { 2, "NAME" }, …)`.
///
/// Pairs whose value is no number (an enum that the kernel left by name) are passed over.
pub fn symbols<'t>(text: &'t str, field: &str) -> impl Iterator<Item = (u32, &'t str)> {
    let start = format!("__print_symbolic(REC->{field},");
    let list = text.split_once(&start).map_or("", |(_, list)| list);
    // The list ends at the first parenthesis: symbols are identifiers.
    let list = list.split(')').next().unwrap_or("");
    list.split('{').skip(1).filter_map(pair)
}

/// `2, "NAME" }, `
fn pair(text: &str) -> Option<(u32, &str)> {
    let (value, symbol) = text.split('}').next()?.split_once(',')?;
    let symbol = symbol.trim().strip_prefix('"')?.strip_suffix('"')?;
    let value = value.trim();
    let value = match value.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => value.parse().ok()?,
    };
    Some((value, symbol))
}
