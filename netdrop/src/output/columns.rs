//! Rows as aligned columns, in as much width as there is: needed columns shrink, wanted ones come when there is room.

use std::collections::HashSet;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::color;
use super::words::{Address, DeviceName, NetnsName, Place, Plain};
use crate::knowledge::Class;
use crate::model::Row;

/// Columns between columns.
const GAP: usize = 2;
/// The name of the row that sums what has no row of its own.
const OTHER: &str = "(other flows)";

/// One column of a table.
pub struct Column {
    title: &'static str,
    cells: Vec<String>,
    kind: Kind,
    /// Whether it is left out when there is no room for the whole of it.
    optional: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Right-aligned, never cut.
    Number,
    /// Left-aligned, never cut.
    Bar,
    /// Left-aligned, cut to this width at the least.
    Text { least: usize },
}

impl Column {
    /// A right-aligned column.
    pub fn number(title: &'static str, rows: &[Row], cell: impl Fn(&Row) -> String) -> Self {
        Self { title, cells: rows.iter().map(cell).collect(), kind: Kind::Number, optional: false }
    }

    /// A column that is never cut.
    pub fn bar(rows: &[Row], cell: impl Fn(&Row) -> String) -> Self {
        Self { title: "", cells: rows.iter().map(cell).collect(), kind: Kind::Bar, optional: false }
    }

    /// A column that may be cut.
    fn text(title: &'static str, least: usize, rows: &[Row], cell: impl Fn(&Row) -> Option<String>) -> Self {
        let cells = rows.iter().map(|row| cell(row).unwrap_or_default()).collect();
        Self { title, cells, kind: Kind::Text { least }, optional: false }
    }

    /// The same, only when there is room.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// The width that shows everything; zero when there is nothing to show.
    fn natural(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
        if cells == 0 { 0 } else { cells.max(self.title.width()) }
    }

    fn shrinks_below(&self, width: usize) -> bool {
        matches!(self.kind, Kind::Text { least } if width > least)
    }
}

/// The columns that say what a row counts.
pub fn identity(rows: &[Row]) -> Vec<Column> {
    let namespaces: HashSet<_> =
        rows.iter().filter_map(|row| row.netns.as_ref()).map(|netns| netns.inode).collect();
    let mut columns = vec![
        Column::text("REASON", 12, rows, |row| {
            row.reason.as_ref().map(|reason| Plain(&reason.name).to_string())
        }),
        Column::text("FUNCTION", 12, rows, |row| match (&row.site, &row.function) {
            (Some(site), _) => Some(Place(site).to_string()),
            (None, Some(function)) => Some(Plain(function).to_string()),
            (None, None) => None,
        }),
        Column::text("DEVICE", 6, rows, |row| {
            row.device.as_ref().map(|device| DeviceName(device).to_string())
        }),
        Column {
            optional: namespaces.len() < 2,
            ..Column::text("NETNS", 6, rows, |row| {
                row.netns.as_ref().map(|netns| NetnsName(netns).to_string())
            })
        },
        Column::text("PROTO", 5, rows, |row| row.protocol.map(|protocol| protocol.to_string())),
        Column::text("SOURCE", 9, rows, |row| row.source.map(|source| Address(source).to_string())),
        Column::text("DESTINATION", 9, rows, |row| match (row.destination, row.port) {
            (Some(destination), None) => Some(Address(destination).to_string()),
            (Some(mut destination), port) => {
                destination.port = port;
                Some(Address(destination).to_string())
            }
            (None, port) => port.map(|port| format!(":{port}")),
        }),
        Column::text("EXAMPLE", 9, rows, |row| {
            row.example.map(|(source, destination)| format!("{} > {}", Address(source), Address(destination)))
        })
        .optional(),
    ];
    if let Some(index) = rows.iter().position(|row| row.other)
        && let Some(column) = columns.iter_mut().find(|column| column.natural() > 0)
    {
        column.cells[index] = OTHER.into();
    }
    columns
}

/// The lines of a table, titles first, each at most `width` wide and without spaces at its end.
/// The reason is coloured by its class where `color` asks for it.
pub fn lines(rows: &[Row], columns: Vec<Column>, width: usize, color: bool) -> Vec<String> {
    let chosen = choose(columns, width);
    let title = line(chosen.iter().map(|(column, width)| cell(column.title, column.kind, *width)), width);
    let titles = if color { format!("{}{title}{}", color::BOLD, color::RESET) } else { title };
    let rows = rows.iter().enumerate().map(|(index, row)| {
        let cells = chosen.iter().map(|(column, width)| cell(&column.cells[index], column.kind, *width));
        let text = line(cells, width);
        let class = row.reason.as_ref().map_or(Class::Unknown, |reason| reason.class);
        if color { painted(text, class) } else { text }
    });
    std::iter::once(titles).chain(rows).collect()
}

/// The columns with something to show, and their widths.
fn choose(columns: Vec<Column>, width: usize) -> Vec<(Column, usize)> {
    let mut chosen: Vec<_> = columns.into_iter().map(|column| (column.natural(), column)).collect();
    chosen.retain(|(natural, _)| *natural > 0);
    let mut used: usize =
        chosen.iter().filter(|(_, column)| !column.optional).map(|(natural, _)| natural + GAP).sum();
    chosen.retain(|(natural, column)| {
        // No gap after the last column.
        let fits = !column.optional || used + natural <= width;
        used += if column.optional && fits { natural + GAP } else { 0 };
        fits
    });
    let mut over = used.saturating_sub(GAP).saturating_sub(width);
    while over > 0 {
        let widest = chosen.iter_mut().filter(|(width, column)| column.shrinks_below(*width));
        let Some((width, _)) = widest.max_by_key(|(width, _)| *width) else { break };
        *width -= 1;
        over -= 1;
    }
    chosen.into_iter().map(|(width, column)| (column, width)).collect()
}

/// Joins cells; what is wider than the terminal for all that is cut.
fn line(cells: impl Iterator<Item = String>, width: usize) -> String {
    let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
    cut(line.trim_end(), width)
}

/// `text` in exactly `width` columns.
fn cell(text: &str, kind: Kind, width: usize) -> String {
    let text = cut(text, width);
    let padding = " ".repeat(width.saturating_sub(text.width()));
    if kind == Kind::Number { padding + &text } else { text + &padding }
}

/// `text` in at most `width` columns, with `…` where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |letter: &char| {
        let wide = letter.width().unwrap_or(0);
        let fits = wide <= left;
        left = left.saturating_sub(wide);
        fits
    };
    let kept: String = text.chars().take_while(fits).collect();
    if width == 0 { kept } else { kept + "…" }
}

fn painted(line: String, class: Class) -> String {
    match color::of(class) {
        "" => line,
        start => format!("{start}{line}{}", color::RESET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("", 0, "")]
    #[case("a", 0, "")]
    #[case("a", 1, "a")]
    #[case("ab", 1, "…")]
    #[case("abc", 3, "abc")]
    #[case("abcd", 3, "ab…")]
    #[case("日本語", 6, "日本語")]
    #[case("日本語", 5, "日本…")]
    #[case("日本語", 4, "日…")]
    fn text_is_cut_by_its_width_on_screen(#[case] text: &str, #[case] width: usize, #[case] expected: &str) {
        assert_eq!(cut(text, width), expected);
        assert!(expected.width() <= width);
    }
}
