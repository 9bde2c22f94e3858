//! Rows as aligned columns, in as much width as there is: needed columns shrink, wanted ones come when there is room.

use std::collections::HashSet;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::color;
use super::words::{Address, DeviceName, NetnsName, Place, Plain};
use crate::knowledge::Class;
use crate::model::{Counts, Row};
use crate::units::bytes;

/// Columns between columns.
const GAP: usize = 2;
/// The name of the row that sums what no other row stands for.
const OTHER: &str = "(all others)";

/// One column of a table.
pub struct Column {
    title: String,
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
    /// Left-aligned, cut where room is short: first to a width that most names have, then further.
    Text { usual: usize },
}

/// No text is cut further than to this.
const LEAST: usize = 5;

impl Column {
    /// A right-aligned column.
    pub fn number<R>(title: &'static str, rows: &[R], cell: impl Fn(&R) -> String) -> Self {
        Self {
            title: title.into(),
            cells: rows.iter().map(cell).collect(),
            kind: Kind::Number,
            optional: false,
        }
    }

    /// A column that is never cut.
    pub fn bar<R>(rows: &[R], cell: impl Fn(&R) -> String) -> Self {
        Self {
            title: String::new(),
            cells: rows.iter().map(cell).collect(),
            kind: Kind::Bar,
            optional: false,
        }
    }

    /// A column that may be cut.
    pub fn text<R>(
        title: &'static str,
        usual: usize,
        rows: &[R],
        cell: impl Fn(&R) -> Option<String>,
    ) -> Self {
        let cells = rows.iter().map(|row| cell(row).unwrap_or_default()).collect();
        Self { title: title.into(), cells, kind: Kind::Text { usual }, optional: false }
    }

    /// The same, with a title.
    pub fn titled(self, title: String) -> Self {
        Self { title, ..self }
    }

    /// Its title.
    pub fn title(&self) -> &str {
        &self.title
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

    /// The width that it keeps in the first and in the second round of cuts.
    fn least(&self, natural: usize) -> [usize; 2] {
        match self.kind {
            Kind::Text { usual } => [usual.min(natural), LEAST.min(natural)],
            Kind::Number | Kind::Bar => [natural; 2],
        }
    }
}

/// The columns that say what a row counts; `of` chooses the counts that the bytes are shown of. Of the optional ones, the first get the room that is left.
pub fn identity(rows: &[Row], of: fn(&Row) -> Counts) -> Vec<Column> {
    let namespaces: HashSet<_> =
        rows.iter().filter_map(|row| row.netns.as_ref()).map(|netns| netns.inode).collect();
    let mut columns = vec![
        Column::text("REASON", 19, rows, |row| {
            row.reason.as_ref().map(|reason| Plain(&reason.name).to_string())
        }),
        Column::text("FUNCTION", 14, rows, |row| match (&row.site, &row.function) {
            (Some(site), _) => Some(Place(site).to_string()),
            (None, Some(function)) => Some(Plain(function).to_string()),
            (None, None) => None,
        }),
        Column::text("DEVICE", 8, rows, |row| {
            row.device.as_ref().map(|device| DeviceName(device).to_string())
        }),
        Column {
            optional: namespaces.len() < 2,
            ..Column::text("NETNS", 8, rows, |row| {
                row.netns.as_ref().map(|netns| NetnsName(netns).to_string())
            })
        },
        Column::text("PROTO", 5, rows, |row| row.protocol.map(|protocol| protocol.to_string())),
        Column::text("CLASS", 11, rows, |row| row.class.map(|class| class.to_string())).optional(),
        Column::text("SOURCE", 15, rows, |row| row.source.map(|source| Address(source).to_string())),
        Column::text("DESTINATION", 15, rows, |row| match (row.destination, row.port) {
            (Some(destination), None) => Some(Address(destination).to_string()),
            (Some(mut destination), port) => {
                destination.port = port;
                Some(Address(destination).to_string())
            }
            (None, port) => port.map(|port| format!(":{port}")),
        }),
        Column::text("OWNER", 15, rows, |row| {
            row.owner.as_ref().map(|owner| Plain(&owner.to_string()).to_string())
        }),
        Column::text("CONTAINER", 15, rows, |row| {
            row.workload.as_ref().map(|workload| Plain(&workload.to_string()).to_string())
        }),
        Column::number("BYTES", rows, |row| about(row) + &bytes(of(row).bytes)).optional(),
        Column::text("LINE", 20, rows, |row| {
            let source = row.site.as_ref()?.source.as_ref()?;
            Some(Plain(&source.line).to_string())
        })
        .optional(),
        Column::text("EXAMPLE", 15, rows, |row| {
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

/// The mark of numbers that are estimates.
pub fn about(row: &Row) -> String {
    if row.estimated { "~".into() } else { String::new() }
}

/// The lines of a table, titles first, each at most `width` wide and without spaces at its end.
/// The reason is coloured by its class where `color` asks for it.
pub fn lines(rows: &[Row], columns: Vec<Column>, width: usize, color: bool) -> Vec<String> {
    let mut lines = table(columns, width, color);
    if color {
        for (line, row) in lines.iter_mut().skip(1).zip(rows) {
            *line = painted(std::mem::take(line), row.class.unwrap_or(Class::Unknown));
        }
    }
    lines
}

/// The lines of a table of anything: titles first, bold with `color`, then a line a row.
pub fn table(columns: Vec<Column>, width: usize, color: bool) -> Vec<String> {
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let chosen = choose(columns, width);
    let title = line(chosen.iter().map(|(column, width)| cell(&column.title, column.kind, *width)), width);
    let titles = if color { format!("{}{title}{}", color::BOLD, color::RESET) } else { title };
    let rows = (0..rows).map(|row| {
        line(chosen.iter().map(|(column, width)| cell(&column.cells[row], column.kind, *width)), width)
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
        let fits = !column.optional || used + natural <= width;
        used += if column.optional && fits { natural + GAP } else { 0 };
        fits
    });
    // No gap after the last column.
    let mut over = used.saturating_sub(GAP).saturating_sub(width);
    for round in 0..2 {
        let least: Vec<usize> =
            chosen.iter().map(|(natural, column)| column.least(*natural)[round]).collect();
        while over > 0 {
            let cuttable = chosen.iter_mut().zip(&least).filter(|((width, _), least)| width > least);
            let Some(((widest, _), _)) = cuttable.max_by_key(|((width, _), _)| *width) else { break };
            *widest -= 1;
            over -= 1;
        }
    }
    while over > 0 && chosen.len() > 1 {
        let (last, _) = chosen.pop().expect("there is more than one");
        over = over.saturating_sub(last + GAP);
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
    let text = if text.width() > width { cut(without_offset(text), width) } else { text.to_owned() };
    let padding = " ".repeat(width.saturating_sub(text.width()));
    if kind == Kind::Number { padding + &text } else { text + &padding }
}

/// A site's function: its offset is the first to go where room is short.
fn without_offset(site: &str) -> &str {
    site.rsplit_once("+0x").map_or(site, |(function, _)| function)
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
