//! Which training rows look planted, and the reader of files of rows.
//!
//! [`read`] is the project's one reader of files of rows, [`table`] packs what it gives, and
//! [`vet`] looks at the packed table: one module a detector. Engine-free and deterministic: the
//! same file and seed give the same report, on any number of threads.

mod duplicate;
mod gate;
mod knn;
mod label;
mod leak;
mod linear;
mod noise;
mod outlier;
pub mod parallel;
mod policy;
pub mod read;
pub mod report;
pub mod rules;
mod sample;
mod schema;
mod shift;
mod source;
mod space;
mod spectral;
pub mod table;
mod tokens;
mod trees;
mod trigger;
pub mod write;

pub use gate::{Options, Progress, vet};
pub use policy::{Policy, PolicyError};
pub use report::{Finding, Issue, NotCovered, Report, Verdict};
pub use rules::RULES;

pub use label::Member;
pub use schema::Flaw;
pub use shift::ColumnFacts;
pub use source::SourceFacts;
pub use trigger::{Item, Pattern};
