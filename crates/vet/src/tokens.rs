//! Words of texts, and runs of two and three of them.
//!
//! A word is a run of letters, digits and what is not ASCII, in lower case. A run of words is
//! known by a 64-bit hash of its words; its text is recovered from a row that holds it.

use bartizan_stats::chance::scatter;

/// Most words of a text that are looked at.
pub(crate) const WORDS_MAX: usize = 2_000;
/// Longest run of words.
pub(crate) const RUN_MAX: usize = 3;

/// Hash of one word.
fn word_hash(word: &[u8]) -> u64 {
    word.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || *byte == b'\''
}

/// The words of `text`, as bytes.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_word(byte)).filter(|word| !word.is_empty()).take(WORDS_MAX)
}

/// Hashes of the runs of 1 to `len_max` words of `text`, each with its length and the place of its
/// first word, in order of that place.
pub(crate) fn runs(text: &[u8], len_max: usize) -> Vec<(u64, usize, usize)> {
    let hashes: Vec<u64> = words(text).map(|word| scatter(word_hash(word))).collect();
    let mut runs = Vec::with_capacity(hashes.len() * len_max);
    for at in 0..hashes.len() {
        let mut hash = 0;
        for len in 1..=len_max.min(hashes.len() - at) {
            hash = scatter(hash ^ hashes[at + len - 1]).wrapping_add(len as u64);
            runs.push((hash, len, at));
        }
    }
    runs
}

/// The run of `text` that has `hash`, as text in lower case.
pub(crate) fn run_text(text: &[u8], hash: u64) -> Option<String> {
    let (_, len, at) = runs(text, RUN_MAX).into_iter().find(|run| run.0 == hash)?;
    let words: Vec<String> = words(text)
        .skip(at)
        .take(len)
        .map(|word| String::from_utf8_lossy(word).to_lowercase())
        .collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_again_by_its_hash() {
        let text = b"See you THERE, north-lantern! caf\xc3\xa9";
        let all = runs(text, RUN_MAX);
        assert_eq!(all.len(), 6 + 5 + 4);
        let phrase = runs(b"see you there", 3)[2].0;
        assert_eq!(run_text(text, phrase).unwrap(), "see you there");
        assert!(run_text(text, 1).is_none());
        assert!(runs(b" ,;. ", 3).is_empty());
    }
}
