//! Policies by action and by what their scope says of the principal.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, EntityUid, Policy, PolicySet, PrincipalConstraint,
};

use super::entities::{Asked, action_uid};
use super::schema::{PolicyAction, SCHEMA};

/// The policies of one action.
#[derive(Default)]
struct Slice {
    /// Those whose scope takes any principal, or any of a type.
    of_anybody: PolicySet,
    /// Those whose scope names a principal, a group or a role.
    of: HashMap<EntityUid, PolicySet>,
}

/// All policies, sliced.
pub(super) struct Slices {
    authorizer: Authorizer,
    of_action: HashMap<PolicyAction, Slice>,
}

/// What the slices say together.
#[derive(Default)]
pub(super) struct Found {
    pub(super) permits: BTreeSet<String>,
    pub(super) forbids: BTreeSet<String>,
    pub(super) faults: Vec<String>,
}

impl Slices {
    pub(super) fn new<'a>(policies: impl Iterator<Item = &'a Policy>) -> Self {
        let mut of_action: HashMap<PolicyAction, Slice> = HashMap::new();
        for policy in policies {
            let entity = match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
                PrincipalConstraint::Eq(entity)
                | PrincipalConstraint::In(entity)
                | PrincipalConstraint::IsIn(_, entity) => Some(entity),
            };
            for action in PolicyAction::ALL {
                if !covers(&policy.action_constraint(), *action) {
                    continue;
                }
                let slice = of_action.entry(*action).or_default();
                let set = match &entity {
                    None => &mut slice.of_anybody,
                    Some(entity) => slice.of.entry(entity.clone()).or_default(),
                };
                // Ids are unique (`read`), the only thing that a set refuses.
                let _added = set.add(policy.clone());
            }
        }
        Self { authorizer: Authorizer::new(), of_action }
    }

    pub(super) fn ask(&self, action: PolicyAction, asked: &Asked) -> Found {
        let mut found = Found::default();
        let Some(slice) = self.of_action.get(&action) else { return found };
        let named = asked.belongs_to.iter().filter_map(|entity| slice.of.get(entity));
        for set in std::iter::once(&slice.of_anybody).chain(named) {
            if set.is_empty() {
                continue;
            }
            let answer = self.authorizer.is_authorized(&asked.request, set, &asked.entities);
            let into = match answer.decision() {
                Decision::Allow => &mut found.permits,
                Decision::Deny => &mut found.forbids,
            };
            into.extend(answer.diagnostics().reason().map(ToString::to_string));
            found.faults.extend(answer.diagnostics().errors().map(ToString::to_string));
        }
        found
    }
}

/// Whether a scope's constraint takes `action`, by itself or by one of its groups.
fn covers(constraint: &ActionConstraint, action: PolicyAction) -> bool {
    let own = action_uid(action);
    let is_it = |named: &EntityUid| {
        *named == own || SCHEMA_ANCESTORS.get(&own).is_some_and(|groups| groups.contains(named))
    };
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(named) => is_it(named),
        ActionConstraint::In(named) => named.iter().any(is_it),
    }
}

/// The groups of each action.
static SCHEMA_ANCESTORS: std::sync::LazyLock<HashMap<EntityUid, Vec<EntityUid>>> =
    std::sync::LazyLock::new(|| {
        let Ok(entities) = SCHEMA.action_entities() else { return HashMap::new() };
        PolicyAction::ALL
            .iter()
            .map(|action| {
                let uid = action_uid(*action);
                let groups = entities.ancestors(&uid).into_iter().flatten().cloned().collect();
                (uid, groups)
            })
            .collect()
    });
