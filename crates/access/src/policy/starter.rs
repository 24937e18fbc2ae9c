//! The policies that come with the program.

use bartizan_core::EnvName;

use super::{Policies, PolicyError, PolicyFile};

/// Name of the file of starter policies.
pub const STARTER_FILE: &str = "starter.cedar";
/// Name of the file of roles and projects.
pub const PROJECTS_FILE: &str = "projects.toml";
/// What errors and explanations call the policies of an environment that has none.
pub const AS_ISSUED_FILE: &str = "as-issued.cedar";

/// The files that a new environment begins with: policies for the seven roles, and nobody in them.
pub fn starter() -> [PolicyFile; 2] {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    [
        file(STARTER_FILE, include_str!("../../policies/starter.cedar")),
        file(PROJECTS_FILE, include_str!("../../policies/projects.toml")),
    ]
}

/// What is in force where an environment has no policies of its own: keys do what their scopes
/// say, as before there were policies.
///
/// # Errors
/// None but by a fault of ours.
pub fn as_issued(environment: EnvName) -> Result<Policies, Vec<PolicyError>> {
    let text = include_str!("../../policies/as-issued.cedar").to_owned();
    Policies::new(environment, &[PolicyFile { name: AS_ISSUED_FILE.into(), text }], None)
}
