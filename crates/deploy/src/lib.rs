//! The network gate: plan, check, explain, fix and render a private AKS inference environment.
pub mod addr;
pub mod allocate;
pub mod check;
pub mod drift;
pub mod fix;
pub mod import;
pub mod map;
pub mod plan;
pub mod read;
pub mod render;
mod role;
pub mod rules;
