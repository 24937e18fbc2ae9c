//! Nouns and ports that two or more floors share.
//!
//! Everything here is a value or a trait: no I/O, no clock, no thread. A noun moves in when a
//! second crate needs it; what only one crate needs stays there. At most 2,500 lines.

pub mod clock;
pub mod contract;
pub mod digest;
pub mod disk;
pub mod entropy;
pub mod erase;
pub mod finding;
pub mod half;
pub mod id;
pub mod limits;
pub mod obligations;
pub mod predictor;
pub mod principal;
pub mod refusal;
pub mod tensor;

pub use clock::{Clock, ClockSource, ClockTrouble, Stamp};
pub use contract::Contract;
pub use digest::Digest;
pub use disk::{Disk, DiskFile, DiskKind};
pub use entropy::Entropy;
pub use erase::{Erase, EraseError};
pub use finding::{Finding, Findings, Place, Rule, Severity, Verdict};
pub use id::{DecisionId, EnvName, ModelName, ModelVersion};
pub use obligations::{Obligations, Retention};
pub use predictor::{PredictError, Predictor, Recipe, Signature, TensorSpec};
pub use principal::{AuthProof, Principal, PrincipalName, Pseudonym};
pub use refusal::{Refusal, RefusalCode};
pub use tensor::{Datatype, Tensor, Values};
