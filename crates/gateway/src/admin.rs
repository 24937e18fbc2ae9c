//! The door of the admin API. What the operations do is the roof's, which owns the store.

use bartizan_access::AdminPermit;

/// What an operation answers: an HTTP status and a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminReply {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

/// Performs the operations of the store's owner. Called on a thread that may block.
pub trait Admin: Send + Sync + 'static {
    /// Performs `operation` with its JSON `body` for `caller`, who was let in: whether the policies
    /// allow him this very operation is asked here, under those in force when it is performed.
    fn perform(&self, caller: &AdminPermit, operation: &str, body: &[u8]) -> AdminReply;
}
