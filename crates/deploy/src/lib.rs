//! The network gate: plan, check, explain, fix and render a private AKS inference environment.
//!
//! Bytes in, values out: nothing here opens a file, a socket or a clock. [`plan::read`] makes a
//! [`plan::Plan`] of TOML, YAML or JSON, [`import::read`] one of what Azure or Terraform export;
//! [`check::check`] judges it, [`fix`] repairs it, [`allocate::auto`] finds its open addresses,
//! [`render::render`] writes what carries it out, [`drift::compare`] holds it against what is
//! there, [`map::of`] is its picture.

pub mod addr;
pub mod allocate;
pub mod check;
pub mod drift;
pub mod fix;
pub mod import;
pub mod map;
#[cfg(test)]
mod pages;
pub mod plan;
pub mod read;
pub mod render;
mod role;
pub mod rules;

pub use rules::RULES;
