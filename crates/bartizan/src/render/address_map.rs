//! The address space as SVG: one row a range, one axis for all, collisions in red.
//!
//! The axis is compressed: between two neighbouring boundaries of ranges it is as wide as the
//! logarithm of the addresses between them, so that a /29 can be seen beside a /8 and two ranges
//! overlap in the picture exactly when they overlap.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bartizan_deploy::map::{Band, Map, Row};

const ROW_PX: f64 = 24.0;
const LABEL_PX: f64 = 330.0;
const AXIS_PX: f64 = 760.0;
const NOTE_PX: f64 = 330.0;
const TOP_PX: f64 = 58.0;
const AXIS_TEXT_PX: f64 = 110.0;
/// Most boundaries that get their address written; more would be unreadable.
const TICKS_MAX: usize = 48;

/// The picture. Deterministic; a map without rows says so.
pub(crate) fn svg(map: &Map) -> String {
    let axis = Axis::of(map);
    let n_rows = map.rows.len() + map.marks.len();
    let bottom = TOP_PX + ROW_PX * n_rows as f64;
    let (width, height) = (LABEL_PX + AXIS_PX + NOTE_PX, bottom + AXIS_TEXT_PX);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"system-ui, 'DejaVu Sans', \
         sans-serif\" font-size=\"12\" role=\"img\">\n<title>Address space of the plan</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"17\" font-weight=\"600\" fill=\"#1b2733\">Address \
         space</text>\n"
    );
    headline(map, width, &mut out);
    for idx in (0..n_rows).step_by(2) {
        let y = TOP_PX + ROW_PX * idx as f64;
        let _ = writeln!(
            out,
            "<rect x=\"0\" y=\"{y:.1}\" width=\"{width:.0}\" height=\"{ROW_PX:.0}\" \
             fill=\"#f5f7f9\"/>"
        );
    }
    ticks(&axis, bottom, &mut out);
    for (idx, row) in map.rows.iter().enumerate() {
        range(row, &axis, TOP_PX + ROW_PX * idx as f64, &mut out);
    }
    for (idx, mark) in map.marks.iter().enumerate() {
        let y = TOP_PX + ROW_PX * (map.rows.len() + idx) as f64;
        let colour = if mark.is_outside { RED } else { "#1b2733" };
        let x = axis.x(u64::from(mark.address));
        let note = if mark.is_outside { "outside its range" } else { "" };
        label(&mark.label(), y, colour, &mut out);
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>",
            y + ROW_PX / 2.0
        );
        note_text(note, y, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

const RED: &str = "#c62828";

fn colour(band: Band) -> &'static str {
    match band {
        Band::Network => "#90a4ae",
        Band::Subnet => "#3f7fbf",
        Band::Services => "#6a4fb3",
        Band::Pods => "#2e8b7a",
        Band::Docker => "#9a7b2f",
        Band::Peer => "#b0803a",
        Band::OnPremises => "#7a6a5d",
        Band::Reserved => "#555555",
    }
}

fn headline(map: &Map, width: f64, out: &mut String) {
    let n = map.rows.iter().filter(|row| !row.collisions.is_empty()).count();
    let outside = map.marks.iter().filter(|mark| mark.is_outside).count();
    let (text, colour) = match (map.rows.is_empty(), n, outside) {
        (true, _, _) => ("no ranges are given".to_owned(), "#1b2733"),
        (false, 0, 0) => ("no collisions".to_owned(), "#2e7d32"),
        (false, 0, _) => ("an address lies outside its range".to_owned(), RED),
        (false, n, _) => (format!("{n} ranges collide"), RED),
    };
    let _ = writeln!(
        out,
        "<text x=\"{:.0}\" y=\"28\" text-anchor=\"end\" font-size=\"14\" font-weight=\"600\" \
         fill=\"{colour}\">{text}</text>",
        width - 16.0
    );
}

fn label(text: &str, y: f64, colour: &str, out: &mut String) {
    let text = fitted(text, 46);
    let _ = writeln!(
        out,
        "<text x=\"16\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
        y + ROW_PX / 2.0 + 4.0,
        escaped(&text)
    );
}

fn note_text(text: &str, y: f64, out: &mut String) {
    if !text.is_empty() {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{RED}\">{}</text>",
            LABEL_PX + AXIS_PX + 12.0,
            y + ROW_PX / 2.0 + 4.0,
            escaped(&fitted(text, 46))
        );
    }
}

fn range(row: &Row, axis: &Axis, y: f64, out: &mut String) {
    let is_red = !row.collisions.is_empty();
    let name = format!("{} {}", row.band.as_str(), row.name);
    let text = format!("{} {}", name.trim_end(), row.text);
    label(&text, y, if is_red { RED } else { "#1b2733" }, out);
    let bar = |first: u32, last: u32, colour: &str, out: &mut String| {
        let (from, to) = (axis.x(u64::from(first)), axis.x(u64::from(last) + 1));
        let _ = writeln!(
            out,
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" \
             fill=\"{colour}\"/>",
            y + 4.0,
            (to - from).max(1.5),
            ROW_PX - 8.0
        );
    };
    bar(row.first, row.last, colour(row.band), out);
    for collision in &row.collisions {
        bar(collision.first, collision.last, RED, out);
    }
    let note = match row.collisions.as_slice() {
        [] => String::new(),
        [one] => one.with.clone(),
        [one, rest @ ..] => format!("{} and {} more", one.with, rest.len()),
    };
    note_text(&note, y, out);
}

/// Where boundaries are, with their addresses below.
fn ticks(axis: &Axis, bottom: f64, out: &mut String) {
    let step = axis.bounds.len().div_ceil(TICKS_MAX).max(1);
    let mut last = f64::NEG_INFINITY;
    for bound in axis.bounds.iter().step_by(step) {
        let x = axis.x(*bound);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP_PX:.0}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" \
             stroke=\"#dfe5ea\"/>"
        );
        // Two addresses closer than a line of text would cover each other.
        if last + 13.0 <= x {
            last = x;
            let y = bottom + 8.0;
            let address = bartizan_deploy::addr::show_v4(u32::try_from(*bound).unwrap_or(u32::MAX));
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"10\" fill=\"#5b6b7a\" \
                 text-anchor=\"end\" transform=\"rotate(-60 {x:.1} {y:.1})\">{address}</text>"
            );
        }
    }
}

/// The compressed axis.
struct Axis {
    /// Boundaries of ranges, sorted.
    bounds: Vec<u64>,
    /// Position of each boundary, in pixels.
    positions: Vec<f64>,
}

impl Axis {
    fn of(map: &Map) -> Self {
        let mut bounds = BTreeSet::new();
        for row in &map.rows {
            bounds.insert(u64::from(row.first));
            bounds.insert(u64::from(row.last) + 1);
        }
        for mark in &map.marks {
            bounds.insert(u64::from(mark.address));
        }
        let bounds: Vec<u64> = bounds.into_iter().collect();
        let weight = |pair: &[u64]| 2.0 + f64::from((pair[1] - pair[0]).max(1).ilog2());
        let total: f64 = bounds.windows(2).map(weight).sum();
        let mut at = LABEL_PX;
        let mut positions = vec![at];
        for pair in bounds.windows(2) {
            at += AXIS_PX * weight(pair) / total;
            positions.push(at);
        }
        Self { bounds, positions }
    }

    /// Where a boundary is drawn.
    fn x(&self, bound: u64) -> f64 {
        let idx = self.bounds.partition_point(|other| *other < bound);
        self.positions.get(idx).copied().unwrap_or(LABEL_PX + AXIS_PX)
    }
}

fn fitted(text: &str, n_chars: usize) -> String {
    if text.chars().count() <= n_chars {
        return text.to_owned();
    }
    let cut: String = text.chars().take(n_chars - 1).collect();
    format!("{cut}…")
}

/// Text as XML text; names are foreign.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use bartizan_deploy::map;
    use bartizan_deploy::plan::read;
    use bartizan_deploy::read::Format;

    use super::*;

    fn picture(service: &str, name: &str) -> String {
        let text = format!(
            "region = \"a\"\nserviceCidr = \"{service}\"\n[vnet]\nname = \"v\"\n\
             addressSpace = [\"10.1.0.0/16\"]\n[[subnets]]\nname = \"{name}\"\n\
             cidr = \"10.1.0.0/24\"\n"
        );
        svg(&map::of(&read(text.as_bytes(), Format::Toml).unwrap().plan))
    }

    /// Red when and only when something collides.
    #[test]
    fn collisions_are_red() {
        let collides = picture("10.1.0.0/24", "aks");
        assert!(collides.contains(RED) && collides.contains("3 ranges collide"), "{collides}");
        assert!(collides.contains("subnet aks 10.1.0.0/24"));
        let is_apart = picture("10.0.0.0/16", "aks");
        assert!(!is_apart.contains(RED) && is_apart.contains("no collisions"), "{is_apart}");
        assert_eq!(is_apart, picture("10.0.0.0/16", "aks"));
    }

    #[test]
    fn names_cannot_leave_their_text() {
        let drawn = picture("10.0.0.0/16", "<script>&");
        assert!(drawn.contains("&lt;script&gt;&amp;") && !drawn.contains("<script>"));
    }
}
