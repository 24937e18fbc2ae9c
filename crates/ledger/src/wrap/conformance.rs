//! What every adapter of `KeyWrap` must do, whatever is behind it.

use super::{KekId, KeyWrap, WRAPPED_BYTES_MAX, WrapError};

/// What an adapter does that it must not.
#[derive(Debug, thiserror::Error)]
pub enum WrapNonconformance {
    /// A call failed.
    #[error("a call failed that must not")]
    Wrap(#[from] WrapError),
    /// A call gave something else.
    #[error("{0}")]
    Wrong(&'static str),
}

fn must(holds: bool, what: &'static str) -> Result<(), WrapNonconformance> {
    if holds { Ok(()) } else { Err(WrapNonconformance::Wrong(what)) }
}

/// Runs the suite on `wrap`, which must not have the KEKs whose ids begin with `c0 ff`, and is
/// left without them.
///
/// # Errors
/// [`WrapNonconformance`]: the first thing that is wrong.
pub fn check_key_wrap(wrap: &dyn KeyWrap) -> Result<(), WrapNonconformance> {
    let id = |n: u8| KekId([0xc0, 0xff, n, n, n, n, n, n, n, n, n, n, n, n, n, n]);
    let (a, b, never) = (id(1), id(2), id(3));
    let absent = |error: &WrapError| matches!(error, WrapError::Absent { .. });
    must(wrap.wrap(a, &[1; 32]).is_err_and(|error| absent(&error)), "a KEK exists by itself")?;
    wrap.create(a)?;
    wrap.create(b)?;
    let (first, second) = (wrap.wrap(a, &[1; 32])?, wrap.wrap(a, &[1; 32])?);
    must(first.len() <= WRAPPED_BYTES_MAX, "a wrapped key is longer than its place")?;
    must(first != second, "one key wrapped twice is the same bytes")?;
    must(!first.windows(8).any(|part| part == [1; 8]), "a wrapped key shows the key")?;
    must(*wrap.unwrap(a, &first)? == [1; 32], "what was wrapped does not come back")?;
    must(*wrap.unwrap(a, &second)? == [1; 32], "what was wrapped does not come back")?;
    must(wrap.unwrap(b, &first).is_err(), "another KEK unwraps it")?;
    must(
        wrap.unwrap(never, &first).is_err_and(|error| absent(&error)),
        "a KEK that was never made unwraps it",
    )?;
    for at in 0..first.len() {
        let mut changed = first.clone();
        changed[at] ^= 1;
        must(wrap.unwrap(a, &changed).is_err(), "a changed byte goes unnoticed")?;
    }
    must(wrap.unwrap(a, &first[..first.len() - 1]).is_err(), "a cut goes unnoticed")?;
    must(wrap.unwrap(a, &[]).is_err(), "nothing at all is unwrapped")?;
    wrap.destroy(a)?;
    must(
        wrap.unwrap(a, &first).is_err_and(|error| absent(&error)),
        "a destroyed KEK unwraps still",
    )?;
    must(wrap.wrap(a, &[1; 32]).is_err(), "a destroyed KEK wraps still")?;
    wrap.destroy(a)?;
    wrap.destroy(never)?;
    let kept = wrap.wrap(b, &[2; 32])?;
    must(*wrap.unwrap(b, &kept)? == [2; 32], "destroying one KEK harms another")?;
    wrap.destroy(b)?;
    must(wrap.unwrap(b, &kept).is_err(), "a destroyed KEK unwraps still")
}
