//! Values that do not go with a column: look-alike letters, stray blanks, impossible numbers,
//! nulls where none were.
//!
//! With a baseline its vocabulary, ranges and nulls are the measure. Without one, the data set's
//! own common values are, and only disguises of them are reported.

use std::collections::BTreeMap;

use crate::table::{Coded, Feature, Kind, Table};

/// A value of more than this share of the rows is common.
const COMMON: f64 = 0.005;
/// Texts of categories that are compared.
const NAMES_MAX: usize = 20_000;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// It looks like another value and is written with other letters.
    LookAlike,
    /// It is another value but for blanks, invisible characters or case.
    Blanks,
    /// It is a number beyond all that the column can hold.
    Impossible,
    /// It is missing in a column that is never without.
    Null,
    /// It is not a number, or infinite.
    NotFinite,
    /// The baseline does not have it.
    Unknown,
    /// It is a little beyond the baseline's range.
    Beyond,
}

impl Flaw {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LookAlike => "look-alike letters",
            Self::Blanks => "stray blanks, invisible characters or case",
            Self::Impossible => "impossible numbers",
            Self::Null => "nulls where none were",
            Self::NotFinite => "not a number or infinite",
            Self::Unknown => "values the baseline does not have",
            Self::Beyond => "numbers beyond the baseline's range",
        }
    }

    fn score(self) -> f32 {
        match self {
            Self::LookAlike => 1.0,
            Self::Blanks => 0.95,
            Self::Impossible => 0.9,
            Self::Null => 0.85,
            Self::NotFinite => 0.8,
            Self::Unknown => 0.2,
            Self::Beyond => 0.1,
        }
    }

    /// Whether nature makes this too: then it is worth knowing, no more.
    pub fn is_natural(self) -> bool {
        matches!(self, Self::Unknown | Self::Beyond)
    }
}

/// What a value is, and what it looks like.
type Example = Option<(String, String)>;

/// A flaw of a column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnFlaw {
    /// Which column.
    pub column: String,
    /// What.
    pub flaw: Flaw,
    /// Rows that show it, ascending.
    pub rows: Vec<u32>,
    /// An example: what it is and what it looks like.
    pub example: Example,
}

/// Flaws, and a score a row.
pub(crate) fn find(table: &Table, baseline: Option<&Table>) -> (Vec<ColumnFlaw>, Vec<f32>) {
    let mut flaws = Vec::new();
    for feature in &table.features {
        let base = baseline.and_then(|b| b.features.iter().find(|f| f.name == feature.name));
        match (&feature.kind, base.map(|base| &base.kind)) {
            (Kind::Code(coded), Some(Kind::Code(known))) => {
                codes(feature, coded, Some(known), &mut flaws);
            }
            (Kind::Code(coded), _) => codes(feature, coded, None, &mut flaws),
            (Kind::Number(values), Some(Kind::Number(known))) => {
                numbers(feature, values, known, &mut flaws);
            }
            (Kind::Number(_) | Kind::Text(_) | Kind::Vector { .. }, _) => {}
        }
    }
    let mut scores = vec![0.0_f32; table.n_rows];
    for flaw in &flaws {
        for row in &flaw.rows {
            let kept = &mut scores[*row as usize];
            *kept = kept.max(flaw.flaw.score()) + 0.01 * flaw.flaw.score();
        }
    }
    (flaws, scores)
}

fn codes(feature: &Feature, coded: &Coded, known: Option<&Coded>, flaws: &mut Vec<ColumnFlaw>) {
    if NAMES_MAX < coded.names.len() {
        return;
    }
    let n = coded.codes.len();
    let counts = coded.counts();
    let is_common = |code: usize| COMMON * n as f64 <= counts[code] as f64;
    // Plain form of each value that can be disguised.
    let mut plain: BTreeMap<String, String> = BTreeMap::new();
    match known {
        Some(known) => {
            plain.extend(known.names.iter().map(|name| (skeleton(name), name.clone())));
        }
        None => {
            let common = coded.names.iter().enumerate().filter(|(code, _)| is_common(*code));
            plain.extend(common.map(|(_, name)| (skeleton(name), name.clone())));
        }
    }
    let mut found: BTreeMap<Flaw, (Vec<usize>, Example)> = BTreeMap::new();
    for (code, name) in coded.names.iter().enumerate() {
        let is_known = match known {
            Some(known) => known.names.contains(name),
            None => is_common(code),
        };
        if is_known {
            continue;
        }
        let of = plain.get(&skeleton(name)).filter(|other| *other != name);
        let flaw = match of {
            Some(other) if is_blank_only(name, other) => Flaw::Blanks,
            Some(_) => Flaw::LookAlike,
            None if known.is_some() => Flaw::Unknown,
            None => continue,
        };
        let entry = found.entry(flaw).or_default();
        entry.0.push(code);
        if let (None, Some(other)) = (&entry.1, of) {
            entry.1 = Some((name.clone(), other.clone()));
        }
    }
    for (flaw, (wanted, example)) in found {
        let mut is_wanted = vec![false; coded.names.len()];
        wanted.iter().for_each(|code| is_wanted[*code] = true);
        let has = |row: &u32| {
            is_wanted.get(coded.codes[*row as usize] as usize).copied().unwrap_or(false)
        };
        let rows = (0..n as u32).filter(has).collect();
        flaws.push(ColumnFlaw { column: feature.name.clone(), flaw, rows, example });
    }
    let never_missing = known.is_some_and(|known| !known.codes.contains(&Coded::MISSING));
    if never_missing && feature.n_missing != 0 {
        let rows = (0..n as u32).filter(|row| coded.codes[*row as usize] == Coded::MISSING);
        let rows = rows.collect();
        flaws.push(ColumnFlaw {
            column: feature.name.clone(),
            flaw: Flaw::Null,
            rows,
            example: None,
        });
    }
}

fn numbers(feature: &Feature, values: &[f32], known: &[f32], flaws: &mut Vec<ColumnFlaw>) {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    let mut has_gaps = false;
    for x in known {
        has_gaps |= x.is_nan();
        low = low.min(*x);
        high = high.max(*x);
    }
    if high < low {
        return;
    }
    let reach = (high - low).max(high.abs().max(low.abs()) * 0.1).max(1e-6);
    // Whoever was never below zero does not begin to be; others may, a little.
    let is_signed = low < 0.0;
    let impossible =
        |x: f32| (x < 0.0 && !is_signed) || x < low - 2.0 * reach || high + 2.0 * reach < x;
    let mut push = |flaw, holds: &dyn Fn(f32) -> bool| {
        let rows: Vec<u32> =
            (0..values.len() as u32).filter(|row| holds(values[*row as usize])).collect();
        if !rows.is_empty() {
            flaws.push(ColumnFlaw { column: feature.name.clone(), flaw, rows, example: None });
        }
    };
    push(Flaw::Impossible, &impossible);
    push(Flaw::Beyond, &|x| !impossible(x) && (x < low || high < x));
    if !has_gaps {
        let flaw = if feature.n_not_finite == 0 { Flaw::Null } else { Flaw::NotFinite };
        push(flaw, &f32::is_nan);
    }
}

/// Whether `a` is `b` but for blanks, what cannot be seen, and case.
fn is_blank_only(a: &str, b: &str) -> bool {
    let bare = |text: &str| -> String {
        text.chars().filter(|c| !is_unseen(*c)).flat_map(char::to_lowercase).collect()
    };
    bare(a) == bare(b)
}

fn is_unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// What `text` looks like: letters of other scripts as the Latin ones they resemble, without
/// blanks, in lower case. A part of the table of Unicode Technical Standard 39.
fn skeleton(text: &str) -> String {
    text.chars().filter(|c| !is_unseen(*c)).flat_map(char::to_lowercase).map(look).collect()
}

fn look(c: char) -> char {
    match c {
        'а' | 'ɑ' | 'α' | 'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ａ' => 'a',
        'Ь' | 'ь' | 'ƅ' | 'ｂ' => 'b',
        'с' | 'ϲ' | 'ç' | 'ｃ' => 'c',
        'ԁ' | 'ɗ' | 'ｄ' => 'd',
        'е' | 'ҽ' | 'è' | 'é' | 'ê' | 'ë' | 'ё' | 'ε' | 'ｅ' => 'e',
        'ɡ' | 'ց' | 'ｇ' => 'g',
        'һ' | 'հ' | 'н' | 'ｈ' => 'h',
        'і' | 'ı' | 'ι' | 'í' | 'ì' | 'î' | 'ï' | 'ӏ' | 'l' | '1' | '|' | 'ｉ' | 'ｌ' => {
            'i'
        }
        'ј' | 'ｊ' => 'j',
        'κ' | 'к' | 'ｋ' => 'k',
        'м' | 'ｍ' => 'm',
        'ո' | 'η' | 'п' | 'ñ' | 'ｎ' => 'n',
        'о' | 'ο' | 'օ' | 'σ' | 'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | '0' | 'ｏ' => 'o',
        'р' | 'ρ' | 'ｐ' => 'p',
        'ԛ' | 'ｑ' => 'q',
        'г' | 'ｒ' => 'r',
        'ѕ' | 'ｓ' => 's',
        'τ' | 'т' | 'ｔ' => 't',
        'υ' | 'ս' | 'ù' | 'ú' | 'û' | 'ü' | 'ｕ' => 'u',
        'ν' | 'ѵ' | 'ｖ' => 'v',
        'ԝ' | 'ω' | 'ｗ' => 'w',
        'х' | 'χ' | 'ｘ' => 'x',
        'у' | 'ү' | 'γ' | 'ý' | 'ｙ' => 'y',
        'ᴢ' | 'ｚ' => 'z',
        '‐' | '‑' | '‒' | '–' | '—' | '−' | '_' => '-',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disguise_is_told_from_what_it_stands_for() {
        for (text, plain) in
            [("Mаsters", "Masters"), ("Bаchelоrs", "Bachelors"), ("ＨS–grad", "HS-grad")]
        {
            assert_ne!(text, plain);
            assert_eq!(skeleton(text), skeleton(plain), "{text}");
            assert!(!is_blank_only(text, plain), "{text}");
        }
        for text in [" Masters", "Masters\u{200b}", "masters", "Mas\u{ad}ters"] {
            assert!(is_blank_only(text, "Masters"), "{text:?}");
        }
        assert_ne!(skeleton("Master"), skeleton("Masters"));
    }
}
