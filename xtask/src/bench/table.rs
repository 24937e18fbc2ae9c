//! Figures as tables for people and as JSON.

use serde_json::{Value, json};

use crate::report::say;

/// A figure held against a bound.
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) bound: Bound,
}

/// What a figure must be.
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Nothing is asked of it.
    Free,
}

impl Figure {
    /// Whether the figure is what it must be.
    pub(super) fn holds(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => least <= self.value,
            Bound::Free => true,
        }
    }

    fn bound_text(&self) -> String {
        match self.bound {
            Bound::AtMost(most) => format!("at most {}", number(most)),
            Bound::AtLeast(least) => format!("at least {}", number(least)),
            Bound::Free => String::new(),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what, "value": self.value, "unit": self.unit,
            "bound": self.bound_text(), "holds": self.holds(),
        })
    }
}

/// Three significant digits, as far as they are needed.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Prints rows under a head, columns aligned: the first to the left, the rest to the right.
pub(super) fn print(head: &[&str], rows: &[Vec<String>]) {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in [&head].into_iter().chain(rows) {
        let cells = row.iter().zip(&widths).enumerate();
        let line: Vec<String> = cells
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        say(line.join("  ").trim_end());
    }
}

/// Prints figures with their bounds and whether they hold.
pub(super) fn print_figures(figures: &[Figure]) {
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|figure| {
            let verdict = match (&figure.bound, figure.holds()) {
                (Bound::Free, _) => "",
                (_, true) => "holds",
                (_, false) => "MISSED",
            };
            let value = format!("{} {}", number(figure.value), figure.unit);
            vec![
                figure.what.clone(),
                value.trim_end().to_owned(),
                figure.bound_text(),
                verdict.to_owned(),
            ]
        })
        .collect();
    print(&["figure", "measured", "asked", ""], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_at_its_edge() {
        let figure = |value, bound| Figure { what: String::new(), value, unit: "", bound };
        assert!(figure(4.0, Bound::AtMost(4.0)).holds());
        assert!(!figure(4.1, Bound::AtMost(4.0)).holds());
        assert!(figure(4.0, Bound::AtLeast(4.0)).holds());
        assert!(!figure(3.9, Bound::AtLeast(4.0)).holds());
        assert!(figure(9.0, Bound::Free).holds());
    }

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [0.016, 7.129, 61.53, 61_530.4].map(number);
        assert_eq!(texts, ["0.02", "7.13", "61.5", "61530"]);
    }
}
