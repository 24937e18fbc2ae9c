//! A caller's latest rows, held against the next one exactly.

/// Latest rows that are held against a new one exactly.
pub(crate) const RECENT: usize = 32;
/// Rows of a caller's own past in which a row may count as near: longer pasts find honest rows
/// near each other by chance.
pub(crate) const WINDOW: u32 = 1_024;
/// How much longer than the straight way the way over a point between may be.
const DETOUR: f32 = 1.02;

/// Whether a row lies between two others: `to_a` and `to_b` are its distances to them, `apart`
/// theirs, `near` what counts as near. What a search by halving asks lies between.
pub(crate) fn is_between(to_a: f32, to_b: f32, apart: f32, near: f32) -> bool {
    near < apart && 1.0 < to_a && 1.0 < to_b && to_a + to_b <= DETOUR * apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_on_the_way_is_between() {
        assert!(is_between(5.0, 5.1, 10.0, 4.0));
        assert!(!is_between(5.0, 5.3, 10.0, 4.0));
        assert!(!is_between(0.0, 10.0, 10.0, 4.0));
        assert!(!is_between(1.5, 1.5, 3.0, 4.0));
    }
}
