//! Values as text for people.

pub(crate) mod address_map;
pub(crate) mod plan_report;
pub(crate) mod profile;
pub(crate) mod progress;
pub(crate) mod record;
pub(crate) mod sarif;
pub(crate) mod scan;
pub(crate) mod table;
pub(crate) mod tensor;
pub(crate) mod time;
pub(crate) mod vet;
