//! A question about access, as people write it.

use bartizan_access::{
    AccessQuestion, Circumstances, Policies, PolicyAction, Resource, Ruling, Who, Zone,
};
use bartizan_core::{ClockSource, ModelName, ModelVersion, Stamp};
use std::sync::Arc;

/// Something that a principal may or may not do.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// A principal's name, or `local/<uid>`.
    pub(super) principal: String,
    /// Groups that its token would name.
    pub(super) groups: Vec<Box<str>>,
    /// `api-key`, `oidc` or `mtls`.
    pub(super) method: String,
    /// How strongly it proves itself.
    pub(super) strength: u8,
    /// What its key's scopes would name.
    pub(super) scopes: Vec<String>,
    /// What it wants to do.
    pub(super) action: PolicyAction,
    /// On what: see [`Object`].
    pub(super) object: Object,
    /// What for.
    pub(super) purpose: Option<String>,
    /// The listener that it would ask.
    pub(super) listener: String,
    /// Where it would come from.
    pub(super) zone: Zone,
    /// When, in nanoseconds since the Unix epoch.
    pub(super) wall_ns: u64,
}

/// `environment`, `project:NAME`, `MODEL`, `MODEL/VERSION`, `dataset:NAME`, `column:DATASET/NAME`,
/// `decision:ID` or `decision:ID@MODEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Environment,
    Project(String),
    Model(ModelName, Option<ModelVersion>),
    Dataset(String),
    Column { dataset: String, name: String, class: String },
    Decision { id: String, model: Option<ModelName> },
}

impl std::str::FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let model = |name: &str| {
            name.parse::<ModelName>().map_err(|error| {
                format!(
                    "`{name}` is no model ({error}); a resource is `environment`, `project:NAME`, \
                     `MODEL[/VERSION]`, `dataset:NAME`, `column:DATASET/NAME[/CLASS]` or \
                     `decision:ID[@MODEL]`"
                )
            })
        };
        Ok(match text.split_once(':') {
            None if text == "environment" => Self::Environment,
            None => match text.split_once('/') {
                None => Self::Model(model(text)?, Some(ModelVersion::FIRST)),
                Some((name, version)) => {
                    let version = version.parse().map_err(|error| format!("{error}"))?;
                    Self::Model(model(name)?, Some(version))
                }
            },
            Some(("project", name)) => Self::Project(name.into()),
            Some(("dataset", name)) => Self::Dataset(name.into()),
            Some(("column", path)) => {
                let mut parts = path.splitn(3, '/');
                let (dataset, name) = (parts.next(), parts.next());
                let (Some(dataset), Some(name)) = (dataset, name) else {
                    return Err("a column is `column:DATASET/NAME[/CLASS]`".into());
                };
                let class = parts.next().unwrap_or("feature");
                Self::Column { dataset: dataset.into(), name: name.into(), class: class.into() }
            }
            Some(("decision", rest)) => match rest.split_once('@') {
                None => Self::Decision { id: rest.into(), model: None },
                Some((id, name)) => Self::Decision { id: id.into(), model: Some(model(name)?) },
            },
            Some((kind, _)) => return Err(format!("there is no kind of resource `{kind}`")),
        })
    }
}

impl Object {
    fn resource(&self) -> Resource<'_> {
        match self {
            Self::Environment => Resource::Environment,
            Self::Project(name) => Resource::Project(name),
            Self::Model(name, version) => Resource::Model { name, version: *version },
            Self::Dataset(name) => Resource::Dataset(name),
            Self::Column { dataset, name, class } => Resource::Column { dataset, name, class },
            Self::Decision { id, model } => Resource::Decision { id, model: model.as_ref() },
        }
    }
}

impl Question {
    /// What `policies` say to it.
    pub(super) fn ask(&self, policies: &Policies) -> Arc<Ruling> {
        self.put(|question| policies.decide(question))
    }

    /// The same without what was decided before: for questions that are asked once.
    pub(super) fn ask_anew(&self, policies: &Policies) -> Ruling {
        self.put(|question| policies.decide_anew(question))
    }

    fn put<T>(&self, to: impl FnOnce(&AccessQuestion<'_>) -> T) -> T {
        let known = bartizan_access::Action::ALL.iter().map(|action| action.as_str());
        let scopes: Vec<&'static str> =
            known.filter(|word| self.scopes.iter().any(|scope| scope == word)).collect();
        let local = self.principal.strip_prefix("local/").and_then(|uid| uid.parse().ok());
        let who = match local {
            Some(uid) => Who::Local { uid },
            None => Who::Principal {
                name: &self.principal,
                groups: &self.groups,
                method: &self.method,
                strength: self.strength,
                scopes: &scopes,
            },
        };
        let (ns, source) = (self.wall_ns, ClockSource::Unsynchronised);
        let at = Stamp { wall_ns: ns, raw_ns: ns, mono_ns: 0, source, error_ns: 0 };
        let circumstances = Circumstances { listener: &self.listener, zone: self.zone, at };
        to(&AccessQuestion {
            who,
            action: self.action,
            resource: self.object.resource(),
            purpose: self.purpose.as_deref(),
            circumstances,
        })
    }
}

/// A zone's word.
///
/// # Errors
/// The words that there are.
pub(super) fn zone(text: &str) -> Result<Zone, String> {
    [Zone::Loopback, Zone::Private, Zone::Public]
        .into_iter()
        .find(|zone| zone.as_str() == text)
        .ok_or_else(|| "a zone is loopback, private or public".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_read_as_people_write_it() {
        let fraud: ModelName = "fraud".parse().unwrap();
        for (text, object) in [
            ("environment", Object::Environment),
            ("project:lending", Object::Project("lending".into())),
            ("fraud", Object::Model(fraud.clone(), Some(ModelVersion::FIRST))),
            ("fraud/1", Object::Model(fraud.clone(), Some(ModelVersion::FIRST))),
            ("dataset:loans", Object::Dataset("loans".into())),
            ("decision:x@fraud", Object::Decision { id: "x".into(), model: Some(fraud) }),
        ] {
            assert_eq!(text.parse(), Ok(object), "{text}");
        }
        for text in ["", "Fraud", "fraud/0", "column:loans", "thing:x"] {
            assert!(text.parse::<Object>().is_err(), "{text}");
        }
    }
}
