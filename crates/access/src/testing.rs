//! What every adapter of a port of this crate must pass. Behind the feature `testing`.

use crate::revocation::{Revocation, RevocationKind, SharedState};

/// Holds two handles to one shared state to the promise of [`SharedState`]: what one adds, the
/// other reads; two that add at one time lose nothing; an end is never brought forward.
///
/// # Panics
/// Where the adapter breaks it.
#[expect(clippy::expect_used, reason = "a conformance suite fails by panicking")]
pub fn shared_state_keeps_its_promise(one: &dyn SharedState, other: &dyn SharedState) {
    const ROUNDS: usize = 20;
    let revocation = |name: String, until_s| Revocation {
        kind: RevocationKind::Principal,
        value: name.into(),
        until_s,
    };
    let before = other.read().expect("a fresh state reads");
    let after = one.revoke(revocation("first".into(), 100), 0).expect("it can be added to");
    assert!(before.sequence() < after.sequence(), "the sequence stood still");
    assert_eq!(other.read().expect("it reads"), after, "the other handle sees something else");
    std::thread::scope(|scope| {
        for (handle, side) in [(one, "a"), (other, "b")] {
            scope.spawn(move || {
                for n in 0..ROUNDS {
                    let name = format!("{side}{n}");
                    let now = handle.revoke(revocation(name.clone(), 100), 0).expect("added");
                    assert!(now.iter().any(|known| *known.value == *name), "{name} is not in it");
                }
            });
        }
    });
    let all = one.read().expect("it reads");
    assert_eq!(all.iter().count(), 2 * ROUNDS + 1, "an addition was lost");
    let again = other.revoke(revocation("first".into(), 50), 0).expect("added");
    let first = again.iter().find(|known| *known.value == *"first").expect("it is there");
    assert_eq!(first.until_s, 100, "an end was brought forward");
    let bad = revocation("no name".into(), 100);
    assert!(one.revoke(bad, 0).is_err(), "something that is no name was taken");
    assert_eq!(other.read().expect("it reads"), again, "a refused addition left a trace");
}
