//! The final summary for people: every row with its share, then the accounts in words.

use super::columns::{Column, about, identity, lines as table};
use super::fold::{Folded, fold, sentence};
use super::words::accounts;
use super::{attribution, doctor};
use crate::model::{Row, Summary};
use crate::tcp::digest;
use crate::units::{elapsed, rate, thousands};

/// Columns of a bar that stands for everything.
const BAR_WIDTH: u64 = 8;

/// The lines of the final summary, those of the table at most `width` wide; with `folds`, lifecycle drops are one line.
pub fn lines(summary: &Summary, width: usize, color: bool, folds: bool) -> Vec<String> {
    let mut lines = vec![headline(summary)];
    let all = summary.rows.iter().map(|row| row.counts.packets).sum();
    let Folded { rows, line: folded } = fold(&summary.rows, folds);
    if !summary.rows.is_empty() {
        lines.push(String::new());
        if !rows.is_empty() {
            lines.extend(table(&rows, columns(&rows, all), width, color));
        }
        lines.extend(folded);
        lines.extend(rows.first().and_then(sentence));
        lines.push(String::new());
    }
    lines.extend(accounts(&summary.accounts));
    lines.extend(attribution::lines(&summary.attribution, width));
    lines.extend(doctor::explanations(&summary.findings));
    if let Some(tcp) = &summary.tcp {
        lines.push(String::new());
        lines.extend(digest::lines(tcp));
    }
    lines
}

/// How many in what time.
pub fn headline(summary: &Summary) -> String {
    let time = elapsed(summary.elapsed);
    match summary.accounts.passed() {
        0 => format!("No drops in {time}."),
        drops => {
            format!("{} drops in {time}, {} on average.", thousands(drops), rate(drops, summary.elapsed))
        }
    }
}

/// Shares are those of `all` drops, folded ones included.
fn columns(rows: &[Row], all: u64) -> Vec<Column> {
    let mut columns = vec![
        Column::number("DROPS", rows, |row| about(row) + &thousands(row.counts.packets)),
        Column::number("SHARE", rows, |row| share(row.counts.packets, all)),
        Column::bar(rows, |row| bar(row.counts.packets, all)).optional(),
    ];
    columns.extend(identity(rows, |row| row.counts));
    columns
}

/// Per cent with one place; never `0.0%` for something, never `100.0%` for less than all.
pub fn share(part: u64, all: u64) -> String {
    let per_mille = (u128::from(part) * 1000 + u128::from(all) / 2) / u128::from(all.max(1));
    match per_mille {
        0 if part > 0 => "<0.1%".into(),
        1000.. if part < all => ">99.9%".into(),
        _ => format!("{}.{}%", per_mille / 10, per_mille % 10),
    }
}

/// A bar in eighths of a column; at least one for something.
pub fn bar(part: u64, all: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part) * u128::from(BAR_WIDTH) * 8 / u128::from(all.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(part > 0));
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, 0, "0.0%", "")]
    #[case(0, 9, "0.0%", "")]
    #[case(1, 1_000_000, "<0.1%", "▏")]
    #[case(1, 3, "33.3%", "██▋")]
    #[case(1, 2, "50.0%", "████")]
    #[case(999_999, 1_000_000, ">99.9%", "███████▉")]
    #[case(u64::MAX, u64::MAX, "100.0%", "████████")]
    fn shares(#[case] part: u64, #[case] all: u64, #[case] per_cent: &str, #[case] blocks: &str) {
        assert_eq!((share(part, all).as_str(), bar(part, all).as_str()), (per_cent, blocks));
    }
}
