//! A question as Cedar's entities, request and context.
//!
//! Only what a decision can look at is made, a handful of entities: the principal with all it
//! belongs to, the resource with all it lies in, its project, the action with its groups.

use std::collections::{BTreeMap, HashMap, HashSet};

use bartizan_core::clock::NS_PER_S;
use bartizan_core::{EnvName, ModelName, ModelVersion, Stamp};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};

use super::projects::{Belongs, HOLDERS_MARK, Member, Projects, Role};
use super::schema::{KINDS, PolicyAction, SCHEMA};
use super::{
    AccessQuestion, Circumstances, DEFAULT_PROJECT, Policies, Registrar, Resource, Stage, Who,
};

/// What lists of members make of principals and groups, followed to the end.
pub(super) struct Directory {
    principals: HashMap<Box<str>, Vec<EntityUid>>,
    groups: HashMap<Box<str>, Vec<EntityUid>>,
    environment: EntityUid,
}

/// A question, ready to be asked.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) entities: Entities,
    /// The principal and all it belongs to.
    pub(super) belongs_to: Vec<EntityUid>,
}

pub(super) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

pub(super) fn action_uid(action: PolicyAction) -> EntityUid {
    uid(&KINDS.Action, action.as_str())
}

/// Minutes since the Unix epoch.
pub(super) fn minute_of(at: Stamp) -> u64 {
    at.wall_ns / (60 * NS_PER_S)
}

impl Directory {
    pub(super) fn new(environment: &EnvName, projects: &Projects) -> Self {
        let mut direct: BTreeMap<Member<'_>, Vec<EntityUid>> = BTreeMap::new();
        for (member, belongs) in projects.links() {
            let to = match belongs {
                Belongs::Group(name) => uid(&KINDS.Group, name),
                Belongs::Role(role) => uid(&KINDS.Role, role.as_str()),
                Belongs::Holders { project, role } => holders(project, role),
            };
            direct.entry(member).or_default().push(to);
        }
        let mut this = Self {
            principals: HashMap::new(),
            groups: HashMap::new(),
            environment: uid(&KINDS.Environment, environment.as_str()),
        };
        // Groups of `[groups]` hold principals alone, so two steps reach everything.
        for (member, to) in &direct {
            if let Member::Group(name) = member {
                let mut all = to.clone();
                all.push(uid(&KINDS.Group, name));
                this.groups.insert((*name).into(), all);
            }
        }
        for (member, to) in &direct {
            let Member::Principal(name) = member else { continue };
            let mut all = to.clone();
            for group in to.iter().filter(|entity| *entity.type_name() == KINDS.Group) {
                all.extend(this.groups.get(group.id().unescaped()).into_iter().flatten().cloned());
            }
            all.sort();
            all.dedup();
            this.principals.insert((*name).into(), all);
        }
        this
    }

    /// All that `who` belongs to, and itself first.
    fn belongs_to(&self, who: Who<'_>) -> Vec<EntityUid> {
        match who {
            Who::Local { uid: number } => vec![uid(&KINDS.LocalUser, &number.to_string())],
            Who::Principal { name, groups, .. } => {
                let mut all = vec![uid(&KINDS.Principal, name)];
                all.extend(self.principals.get(name).into_iter().flatten().cloned());
                for group in groups {
                    all.push(uid(&KINDS.Group, group));
                    all.extend(self.groups.get(group).into_iter().flatten().cloned());
                }
                all[1..].sort();
                all.dedup();
                all
            }
        }
    }

    pub(super) fn ask(
        &self,
        question: &AccessQuestion<'_>,
        policies: &Policies,
    ) -> Result<Asked, String> {
        let Policies { environment, projects, stage, .. } = policies;
        let belongs_to = self.belongs_to(question.who);
        let own = belongs_to[0].clone();
        let parents: HashSet<EntityUid> = belongs_to[1..].iter().cloned().collect();
        let principal = entity(own.clone(), principal_attributes(question.who), parents)?;
        let mut all = self.resource(question.resource, environment, projects)?;
        let resource = all[0].uid();
        all.push(principal);
        all.push(ACTIONS[&question.action].clone());
        let context = context(question, *stage)?;
        let action = action_uid(question.action);
        // Q1: the request is held against the schema; an action on something that it is not about
        // is a question that no policy was checked for.
        let request = Request::new(own, action, resource, context, Some(&SCHEMA))
            .map_err(|error| error.to_string())?;
        let entities = Entities::from_entities(all, None).map_err(|error| error.to_string())?;
        Ok(Asked { request, entities, belongs_to })
    }

    /// The resource, and what it refers to: the resource first.
    fn resource(
        &self,
        resource: Resource<'_>,
        environment: &EnvName,
        projects: &Projects,
    ) -> Result<Vec<Entity>, String> {
        let text = |text: &str| RestrictedExpression::new_string(text.into());
        let env = self.environment.clone();
        match resource {
            Resource::Environment => {
                let attributes = vec![("name".into(), text(environment.as_str()))];
                Ok(vec![entity(env, attributes, HashSet::new())?])
            }
            Resource::Project(name) => Ok(vec![self.project(name)?]),
            Resource::Model { name, version } => self.version(name, version, None, &env, projects),
            Resource::Registered { name, version, by } => {
                self.version(name, version, Some(by), &env, projects)
            }
            Resource::Dataset(name) => {
                let project = projects.of_dataset(name);
                let parents = HashSet::from([project_uid(project), env]);
                let attributes = vec![
                    ("project".into(), reference(project_uid(project))),
                    ("name".into(), text(name)),
                ];
                let own = uid(&KINDS.Dataset, name);
                Ok(vec![entity(own, attributes, parents)?, self.project(project)?])
            }
            Resource::Column { dataset, name, class } => {
                let project = projects.of_dataset(dataset);
                let of = uid(&KINDS.Dataset, dataset);
                let parents = HashSet::from([of.clone(), project_uid(project), env]);
                let attributes = vec![
                    ("project".into(), reference(project_uid(project))),
                    ("dataset".into(), reference(of)),
                    ("name".into(), text(name)),
                    ("class".into(), text(class)),
                ];
                let own = uid(&KINDS.Column, &format!("{dataset}/{name}"));
                Ok(vec![entity(own, attributes, parents)?, self.project(project)?])
            }
            Resource::Decision { id, model } => {
                let project = model.map_or(DEFAULT_PROJECT, |model| projects.of_model(model));
                let mut parents = HashSet::from([project_uid(project), env]);
                parents.extend(model.map(model_uid));
                let attributes = vec![("project".into(), reference(project_uid(project)))];
                let own = uid(&KINDS.Decision, id);
                Ok(vec![entity(own, attributes, parents)?, self.project(project)?])
            }
        }
    }

    fn version(
        &self,
        name: &ModelName,
        version: Option<ModelVersion>,
        by: Option<Registrar<'_>>,
        environment: &EntityUid,
        projects: &Projects,
    ) -> Result<Vec<Entity>, String> {
        let project = projects.of_model(name);
        let parents = HashSet::from([model_uid(name), project_uid(project), environment.clone()]);
        let number = version.map_or(0, |version| version.0.get());
        let mut attributes = vec![
            ("project".into(), reference(project_uid(project))),
            ("name".into(), RestrictedExpression::new_string(name.as_str().into())),
            ("version".into(), RestrictedExpression::new_long(i64::from(number))),
            ("approvedBy".into(), RestrictedExpression::new_set([])),
            (
                "registeredLocally".into(),
                RestrictedExpression::new_bool(by == Some(Registrar::Local)),
            ),
        ];
        if let Some(Registrar::Principal(by)) = by {
            attributes.push(("registeredBy".into(), reference(uid(&KINDS.Principal, by))));
        }
        let own = version_uid(name, version);
        Ok(vec![entity(own, attributes, parents)?, self.project(project)?])
    }

    fn project(&self, name: &str) -> Result<Entity, String> {
        let mut attributes = vec![("owners".to_owned(), reference(holders(name, None)))];
        for role in Role::ALL {
            attributes.push((role.attribute().into(), reference(holders(name, Some(*role)))));
        }
        entity(project_uid(name), attributes, HashSet::from([self.environment.clone()]))
    }
}

/// The group of those who hold `role` in `project`: its mark keeps it apart from every other.
fn holders(project: &str, role: Option<Role>) -> EntityUid {
    let role = role.map_or("owners", Role::as_str);
    uid(&KINDS.Group, &format!("{HOLDERS_MARK}{project}/{role}"))
}

fn project_uid(name: &str) -> EntityUid {
    uid(&KINDS.Project, name)
}

fn model_uid(name: &ModelName) -> EntityUid {
    uid(&KINDS.Model, name.as_str())
}

fn version_uid(name: &ModelName, version: Option<ModelVersion>) -> EntityUid {
    let version = version.map_or(0, |version| version.0.get());
    uid(&KINDS.ModelVersion, &format!("{name}/{version}"))
}

fn reference(to: EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(to)
}

fn entity(
    own: EntityUid,
    attributes: Vec<(String, RestrictedExpression)>,
    parents: HashSet<EntityUid>,
) -> Result<Entity, String> {
    Entity::new(own, attributes.into_iter().collect(), parents).map_err(|error| error.to_string())
}

fn principal_attributes(who: Who<'_>) -> Vec<(String, RestrictedExpression)> {
    match who {
        Who::Principal { name, .. } => {
            vec![("name".into(), RestrictedExpression::new_string(name.into()))]
        }
        Who::Local { uid } => {
            vec![("uid".into(), RestrictedExpression::new_long(i64::from(uid)))]
        }
    }
}

fn context(question: &AccessQuestion<'_>, stage: Stage) -> Result<Context, String> {
    let text = |text: &str| RestrictedExpression::new_string(text.into());
    let long = |number: u64| RestrictedExpression::new_long(number.cast_signed());
    let (method, strength, scopes): (_, _, &[&str]) = match question.who {
        Who::Principal { method, strength, scopes, .. } => (method, strength, scopes),
        Who::Local { .. } => ("local", 0, &[]),
    };
    let Circumstances { listener, zone, at } = question.circumstances;
    let minute = minute_of(at);
    let days = minute / (24 * 60);
    let record = |fields: Vec<(String, RestrictedExpression)>| {
        RestrictedExpression::new_record(fields).map_err(|error| error.to_string())
    };
    let authentication = record(vec![
        ("method".into(), text(method)),
        ("strength".into(), long(u64::from(strength))),
        ("scopes".into(), RestrictedExpression::new_set(scopes.iter().map(|scope| text(scope)))),
    ])?;
    let time = record(vec![
        ("minute".into(), long(minute)),
        ("hour".into(), long(minute / 60 % 24)),
        // 1970-01-01 was a Thursday, the fourth day.
        ("weekday".into(), long((days + 3) % 7 + 1)),
    ])?;
    let mut fields = vec![
        ("stage".to_owned(), text(stage.as_str())),
        ("listener".into(), text(listener)),
        ("zone".into(), text(zone.as_str())),
        ("time".into(), time),
        ("authentication".into(), authentication),
    ];
    fields.extend(question.purpose.map(|purpose| ("purpose".into(), text(purpose))));
    Context::from_pairs(fields).map_err(|error| error.to_string())
}

/// Each action with its groups.
static ACTIONS: std::sync::LazyLock<HashMap<PolicyAction, Entity>> =
    std::sync::LazyLock::new(|| {
        let groups = SCHEMA.action_entities().ok();
        let of = |action: &PolicyAction| {
            let own = action_uid(*action);
            let parents = groups.as_ref().and_then(|all| all.ancestors(&own));
            let parents = parents.into_iter().flatten().cloned().collect();
            (*action, Entity::new_no_attrs(own, parents))
        };
        PolicyAction::ALL.iter().map(of).collect()
    });
