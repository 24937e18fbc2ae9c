//! The model gate: what would this file do if it were loaded?
//!
//! Nothing is imported, executed or unpickled here. [`scan`] reads bytes through the port
//! [`Source`] and answers with a [`Report`]: cleared, hostile or not cleared, and what was seen
//! where; [`scan_reader`] does so with what comes once, in order. It opens no file, starts no process, and holds bounded memory whatever a file claims.
//!
//! ```
//! # use bartizan_core::{Clock, ClockSource, Stamp};
//! # struct Still;
//! # impl Clock for Still {
//! #     fn now(&self) -> Stamp {
//! #         let source = ClockSource::Simulated;
//! #         Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
//! #     }
//! # }
//! use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Verdict, scan};
//!
//! let allow = Allow::new();
//! let budget = Budget::default();
//! let options =
//!     Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Whole };
//! let bytes = b"cos\nsystem\n(S'id'\ntR.".to_vec();
//! let report = scan("model.pkl", &bytes, &options);
//! assert_eq!(report.verdict, Verdict::Hostile);
//! assert!(report.sightings.iter().any(|seen| &*seen.what == "calls posix.system('id') on load"
//!     || &*seen.what == "calls os.system('id') on load"));
//! ```
//!
//! # How a format is added
//!
//! 1. Write `src/<format>.rs` (tests in it, or in `src/<format>/tests.rs`) with one
//!    `pub(crate) const FORMAT: Format` (`sniff`): a name, `claims` (looks at the first 4 KiB,
//!    never at the file's name), and a reader: `Forward(fn(&mut Scope, &mut Stream))` if one pass
//!    is enough, `Random(fn(&mut Scope, &View))` if it must seek, `None(why)` if it is only
//!    recognised. Put `FORMAT` into the table `FORMATS` in `sniff.rs`; the earlier line wins.
//! 2. The reader returns `Ok(())` only when it has accounted for every byte up to the end, and
//!    `Err(Stop)` when it could not: the engine turns that into a sighting. What it sees it says
//!    with `scope.report(&rules::X, offset, what)`; it never decides a verdict. Foreign text in
//!    `what` goes through [`escape`] first. A new rule is a constant in `rules.rs`.
//! 3. A member goes back to the engine: `scope.within(name, |scope| engine::read_view(scope,
//!    &part))`, or `engine::read_decoded(scope, decoder, bytes_in)` for compressed data. Both
//!    count depth, members and bytes.
//! 4. Nothing is allocated by a length that the file claims: `View::bytes` and `Stream::take` hold
//!    it against what is there and against the window. Loops call `scope.meter.steps(n)`.
//! 5. The lints `indexing_slicing`, `arithmetic_side_effects`, `cast_*` are on in all of the crate
//!    but its tests: no index, sum or cast of foreign numbers can panic or wrap.
//! 6. Add hostile vectors and one genuine file (`crates/scan/corpus`), cut the genuine one at
//!    every byte in a test: no cut may be cleared.
//!
//! Invariants
//! - S1: a verdict is made in one place ([`Verdict::of`]) of what was reported;
//! - S2: a part that no reader accounted for to its end is not cleared.

// All of this reads foreign bytes.
#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

mod allow;
mod budget;
mod checkpoint;
mod compress;
mod config;
pub mod convert;
mod engine;
pub mod escape;
mod gguf;
mod hash;
mod hdf5;
mod identify;
mod json;
mod lightgbm;
mod literal;
mod numpy;
mod onnx;
mod pickle;
mod protobuf;
mod reader;
mod rules;
mod safetensors;
mod scope;
mod sighting;
mod sniff;
mod source;
mod tar;
mod template;
mod tensorflow;
#[cfg(test)]
mod testing;
mod text;
mod torch;
mod verdict;
mod zip;

pub use allow::{
    Allow, Entry, Origin, Role, digest as allow_digest, entries as allow_entries,
    signed as allow_signed,
};
pub use budget::Budget;
pub use engine::{Hash, Options, Report, scan};
pub use pickle::explain as explain_name;
pub use reader::scan_reader;
pub use rules::{RULES, RULES_VERSION, by_id as rule};
pub use scope::{Alone, Siblings};
pub use sighting::{Sighting, Stop};
pub use source::Source;
pub use verdict::Verdict;
