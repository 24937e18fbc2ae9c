//! Values as text for people.

pub(crate) mod progress;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod table;
pub(crate) mod tensor;
pub(crate) mod time;
