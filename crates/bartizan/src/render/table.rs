//! Plain tables: columns as wide as their widest cell, two spaces between, no trailing space.

use std::fmt;

/// Longest cell, in characters; what is longer is cut and marked.
const CELL_CHARS_MAX: usize = 64;

/// A table; cells may hold any text, control characters are shown as `?`.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new(names: &[&str]) -> Self {
        Self { rows: vec![names.iter().map(|name| (*name).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| plain(cell)).collect());
    }
}

/// `text` without what could move a terminal's cursor, cut to a cell's length.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    if text.chars().count() <= CELL_CHARS_MAX {
        return text.chars().map(shown).collect();
    }
    let cut: String = text.chars().take(CELL_CHARS_MAX - 1).map(shown).collect();
    format!("{cut}…")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..n_columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_and_text_stays_on_its_line() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.push(vec!["longer".into(), "a".into()]);
        table.push(vec!["b\n\u{1b}[2J".into(), "x".repeat(65)]);
        let text = table.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["ID      NAME", "longer  a"]);
        assert_eq!(lines[2], format!("b??[2J  {}…", "x".repeat(63)));
        assert_eq!(lines.len(), 3);
    }
}
