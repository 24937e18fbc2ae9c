//! Values into text and files; see the modules below.

mod text;

pub use text::{json_text, yaml_text};
