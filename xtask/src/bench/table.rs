//! Tables in Markdown, aligned, so that they read well as text too.

/// A Markdown table whose columns are aligned.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let width = |text: &str| text.chars().count();
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| width(&row[column])).fold(width(header[column]), usize::max)
    });
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        format!("|{}\n", padded.collect::<String>())
    };
    let rule = widths.map(|width| format!("{}|", "-".repeat(width + 2))).concat();
    let mut text = line(header) + "|" + &rule + "\n";
    for row in rows {
        text += &line(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["ä".to_owned(), "1".to_owned()], ["bcd".to_owned(), "–".to_owned()]];
        assert_eq!(
            table(["n", "value"], &rows),
            "\
| n   | value |
|-----|-------|
| ä   | 1     |
| bcd | –     |
"
        );
    }
}
