//! Moments as text.

use bartizan_core::clock::{NS_PER_S, Rfc3339};

/// `unix_s` seconds since the Unix epoch as `2026-11-24T12:00:00Z`.
pub(crate) fn seconds(unix_s: u64) -> String {
    let text = Rfc3339(unix_s.saturating_mul(NS_PER_S)).to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(whole, _)| format!("{whole}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_prints_without_its_fraction() {
        assert_eq!(seconds(1_795_564_800), "2026-11-25T00:00:00Z");
    }
}
