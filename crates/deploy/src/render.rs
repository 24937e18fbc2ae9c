//! Values into text and files; see the modules below.

mod text;

pub(crate) use text::{json_of, yaml_of};
pub use text::{json_text, yaml_text};
