//! The admin API as JSON: the blocking client of a verb, and the handler of the server.
//!
//! `POST /admin/v1/<operation>` with a JSON object; 200 and the outcome, or another status and
//! `{"error": "..", "kind": ".."}`. On the store's socket (mode 0600, peer's uid checked) nothing
//! else proves who calls.

pub(crate) mod client;
pub(crate) mod handler;
