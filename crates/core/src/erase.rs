//! The port through which a person is erased from what a gate keeps.

/// Why a gate did not erase; names the place, never the person.
#[derive(Debug, thiserror::Error)]
#[error("`{gate}` cannot erase a subject: {reason}")]
pub struct EraseError {
    /// Which gate.
    pub gate: &'static str,
    /// Why, and what to do.
    pub reason: String,
}

/// What a gate keeps by subject, and can destroy. The ledger's own keys are erased by the owner of
/// its store, who puts the erasure on record; every other gate that keeps something implements
/// this.
pub trait Erase: Send + Sync {
    /// Its name, for records and people.
    fn gate(&self) -> &'static str;

    /// Destroys all that is kept about `subject`, durably, and says how many things that were.
    /// May block. Doing it again is no error and finds nothing.
    ///
    /// # Errors
    /// [`EraseError`]: some of it may still be there; do it again.
    fn erase(&self, subject: &str) -> Result<u64, EraseError>;
}
