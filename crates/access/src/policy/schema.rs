//! What policies can speak of: the published schema, and its actions as a type.

use std::sync::LazyLock;

use cedar_policy::{EntityTypeName, Schema};

use crate::scopes::Action;

/// The Cedar schema, as it is published and as every policy is checked against.
pub const SCHEMA_TEXT: &str = include_str!("../../../../docs/policy.cedarschema");

/// The schema, parsed once.
#[expect(clippy::expect_used, reason = "Q1: a constant, held by a test")]
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _warnings) =
        Schema::from_cedarschema_str(SCHEMA_TEXT).expect("the schema is well formed");
    schema
});

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $text:literal $scope:ident,)*) => {
        /// What policies allow or forbid: the schema's actions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PolicyAction { $($(#[$doc])* $variant,)* }

        impl PolicyAction {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The schema's word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// What a key's scopes must name for it.
            pub fn scope(self) -> Action {
                match self { $(Self::$variant => Action::$scope),* }
            }
        }
    };
}

actions! {
    /// Ask a model for predictions.
    Infer "infer" Infer,
    /// Ask why a model predicts what it does.
    Explain "explain" Infer,
    /// Read what a model or the server is.
    Describe "describe" Describe,
    /// Read a record.
    ReadDecision "readDecision" Trace,
    /// Ask the past.
    Query "query" Trace,
    /// Read the numbers of the moment.
    ReadMetrics "readMetrics" Metrics,
    /// Open the sealed part of a record.
    OpenEvidence "openEvidence" Trace,
    /// Read one column of a dataset.
    ReadColumn "readColumn" Trace,
    /// Bring a model in.
    Register "register" Admin,
    /// Scan a model.
    Scan "scan" Admin,
    /// Vet a dataset.
    Vet "vet" Admin,
    /// Approve a model.
    Approve "approve" Admin,
    /// Move a model to the next stage.
    Promote "promote" Admin,
    /// Put a model into service, or take it out.
    Deploy "deploy" Admin,
    /// Sign a model.
    Sign "sign" Admin,
    /// Give and take rights: keys, memberships.
    Grant "grant" Admin,
    /// Change policies.
    ChangePolicy "changePolicy" Admin,
    /// Erase a person.
    Erase "erase" Admin,
    /// Prune, hold, release a hold.
    Retain "retain" Admin,
    /// Replace the environment's own keys.
    RotateKeys "rotateKeys" Admin,
    /// All else that the server or its store can be asked to do.
    Administer "administer" Admin,
}

impl std::fmt::Display for PolicyAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for PolicyAction {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|action| action.as_str() == text);
        found.ok_or(UnknownAction)
    }
}

/// Text that is no action of the schema.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such action; `bartizan access schema` lists them: infer, explain, describe, ...")]
pub struct UnknownAction;

macro_rules! kinds {
    ($($name:ident)*) => {
        /// The schema's entity types, parsed once.
        #[allow(non_snake_case, reason = "each is called what the schema calls it")]
        pub(super) struct Kinds { $(pub(super) $name: EntityTypeName,)* }

        #[allow(clippy::expect_used, reason = "Q1: constants, held by a test")]
        pub(super) static KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds {
            $($name: stringify!($name).parse().expect("a type's name"),)*
        });

        #[cfg(test)]
        pub(super) const KIND_NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

kinds! {
    Action Role Group Principal LocalUser Environment Project Model ModelVersion Dataset Column
    Decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Q1: the schema is well formed, and the types here are its types, none more, none less.
    #[test]
    fn the_actions_and_types_are_the_schemas() {
        let action_group = ["use", "inspect", "build", "release", "govern"];
        let of_schema: BTreeSet<String> = SCHEMA
            .actions()
            .map(|uid| uid.id().unescaped().to_owned())
            .filter(|text| !action_group.contains(&text.as_str()))
            .collect();
        let ours: BTreeSet<_> =
            PolicyAction::ALL.iter().map(|action| action.as_str().to_owned()).collect();
        assert_eq!(of_schema, ours);
        let of_schema: BTreeSet<String> =
            SCHEMA.entity_types().map(ToString::to_string).chain(["Action".into()]).collect();
        let ours: BTreeSet<_> = KIND_NAMES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(of_schema, ours);
        assert_eq!(KINDS.ModelVersion.to_string(), "ModelVersion");
        for action in PolicyAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert!("Infer".parse::<PolicyAction>().is_err());
    }
}
