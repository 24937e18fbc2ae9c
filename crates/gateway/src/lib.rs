//! Serves requests: sockets, TLS, HTTP, the way of one request, the door of the admin API.
//!
//! Read `pipeline.rs` first: it is one decision from its head to its reply. `route.rs` is every
//! route there is, `dispatch.rs` who may use which, `protocol.rs`
//! how each protocol says things, `server.rs` the threads and sockets.

mod accept;
mod admin;
mod answer;
mod assurance;
mod background;
mod body;
mod caller;
mod connection;
mod describe;
mod dispatch;
mod lane;
mod log_reading;
mod messages;
mod metrics;
mod pipeline;
mod protocol;
mod reply;
pub mod route;
mod said;
mod server;
mod settings;
mod shared;
mod witness;

pub use admin::{Admin, AdminReply};
pub use assurance::{AckLevel, Assurance, Prove};
pub use caller::{Freshness, STALE_MAX};
pub use metrics::Metrics;
pub use protocol::Speech;
pub use server::{Server, StartError};
pub use settings::{Addresses, HttpLimits};
pub use shared::{IssuerKeys, Live, Look, Services, Tls};
pub use witness::{WitnessDoor, WitnessServer};
