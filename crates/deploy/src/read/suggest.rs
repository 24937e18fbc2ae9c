//! "Did you mean": the nearest of some known words.

/// Most edits at which a word still counts as a slip for another.
const EDITS_MAX: usize = 3;

/// The one of `known` nearest to `word`: at most `EDITS_MAX` edits and a third of the word
/// away, or `word` is a part of it or the reverse. The first of equals.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = EDITS_MAX.min(word.chars().count().div_ceil(3));
    let fits = |distance: usize, candidate: &str| {
        let part = 3 < word.len() && (candidate.contains(word) || word.contains(candidate));
        distance <= allowed || part
    };
    known
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| fits(*distance, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`: the optimal string
/// alignment distance. O(|a| |b|) time; both are short.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if 1 < i && 1 < j && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of the edge: slips are recognised, other words are not.
    #[test]
    fn only_a_near_word_is_suggested() {
        let known = ["address", "tls", "certificate", "key", "body_bytes_max"];
        for (word, expected) in [
            ("adress", Some("address")),
            ("addrses", Some("address")),
            ("tsl", Some("tls")),
            ("certificates", Some("certificate")),
            ("body_bytes", Some("body_bytes_max")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word:?}");
        }
    }
}
