//! What they may do: Cedar policies, the one engine of every decision about access.
//!
//! [`Policies`] is an immutable value: texts in, rulings out. It is the policy files of an
//! environment, checked strictly against the published schema (`docs/policy.cedarschema`), with
//! `projects.toml`, which says who holds which role and what is whose.
//!
//! Cedar's cost is linear in the policies it is given, about 0.6 us each. So they are sliced once,
//! at load, by action and by what the scope of a policy says of the principal; a decision asks the
//! slice of policies about anybody, and those of the principal and of each of its groups. Cedar's
//! own rule (one `forbid` that applies denies, else one `permit` that applies allows, else denied)
//! says the same of the slices together as of the whole.
//!
//! Invariants
//! - Q1: what is asked are entities, actions and a context of the schema, so that no policy that
//!   passed the check can meet a value of another type;
//! - Q2: nothing is allowed unless a policy permits it, and nothing that a policy forbids;
//! - Q3: where a policy that was asked fails (an overflow, say), the answer is no: Cedar alone
//!   would skip it, and a skipped `forbid` would let through;
//! - Q4: policies that do not pass their checks never become a [`Policies`];
//! - Q5: a ruling depends on its [`AccessQuestion`] and the policies alone.

mod cache;
mod entities;
mod projects;
mod read;
mod schema;
mod slices;
mod starter;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bartizan_core::{Digest, EnvName, ModelName, ModelVersion, Obligations, Stamp};
use cedar_policy::Policy;

use cache::Cache;
use entities::Directory;
use slices::Slices;

pub use cache::PLACES_MAX;
pub use projects::{DEFAULT_PROJECT, MEMBERS_MAX, PROJECTS_MAX, Project, Projects, Role};
pub use read::{POLICIES_MAX, POLICY_BYTES_MAX, POLICY_ID_BYTES_MAX, PolicyError, PolicyFile};
pub use schema::{PolicyAction, SCHEMA_TEXT, UnknownAction};
pub use starter::{AS_ISSUED_FILE, PROJECTS_FILE, STARTER_FILE, as_issued, starter};

/// Where the other end's address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, RFC 4193, link-local, RFC 6598).
    Private,
    /// Anywhere else.
    Public,
}

impl Zone {
    /// The word of policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// Where `address` lies.
    pub fn of(address: std::net::IpAddr) -> Self {
        match address.to_canonical() {
            std::net::IpAddr::V4(ip) if ip.is_loopback() => Self::Loopback,
            std::net::IpAddr::V6(ip) if ip.is_loopback() => Self::Loopback,
            std::net::IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                let shared = a == 100 && b & 0xc0 == 64;
                let is_private = ip.is_private() || ip.is_link_local() || shared;
                if is_private { Self::Private } else { Self::Public }
            }
            std::net::IpAddr::V6(ip) => {
                let is_private = ip.is_unique_local() || ip.is_unicast_link_local();
                if is_private { Self::Private } else { Self::Public }
            }
        }
    }
}

/// What an environment is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Trying things out: one person may do all of it.
    #[default]
    Dev,
    /// Making models.
    Training,
    /// Serving them.
    Inference,
}

impl Stage {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Dev, Self::Training, Self::Inference];

    /// The word of policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Training => "training",
            Self::Inference => "inference",
        }
    }
}

/// Who brought a version of a model in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registrar<'a> {
    /// A proven principal.
    Principal(&'a str),
    /// A user of this machine, at the admin socket.
    Local,
}

/// Who asks, as far as policies know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    /// Who proved itself by a key, a token or a certificate.
    Principal {
        /// Its name.
        name: &'a str,
        /// Groups that the credential itself names, as `<issuer>/<group>`.
        groups: &'a [Box<str>],
        /// `api-key`, `oidc` or `mtls`.
        method: &'a str,
        /// 0 a bearer secret, 1 bound to a client certificate, 2 a client certificate or more.
        strength: u8,
        /// What its scopes name.
        scopes: &'a [&'static str],
    },
    /// A user of this machine, at the admin socket.
    Local {
        /// Its number.
        uid: u32,
    },
}

/// On what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The environment.
    Environment,
    /// A project.
    Project(&'a str),
    /// A version of a model; 0 stands for one that does not exist.
    Model {
        /// Its name.
        name: &'a ModelName,
        /// Its version.
        version: Option<ModelVersion>,
    },
    /// A version of a model of which it is on record who brought it in.
    Registered {
        /// Its name.
        name: &'a ModelName,
        /// Its version; none where it has no number yet.
        version: Option<ModelVersion>,
        /// Who brought it in.
        by: Registrar<'a>,
    },
    /// A dataset.
    Dataset(&'a str),
    /// A column of a dataset.
    Column {
        /// The dataset.
        dataset: &'a str,
        /// Its name.
        name: &'a str,
        /// `public`, `feature`, `quasi`, `sensitive` or `secret`.
        class: &'a str,
    },
    /// A recorded decision about a model.
    Decision {
        /// Its id.
        id: &'a str,
        /// The model that was asked, where it is known.
        model: Option<&'a ModelName>,
    },
}

/// Where and when: what is known beside who, what and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// The listener that was asked.
    pub listener: &'a str,
    /// Where the other end lies.
    pub zone: Zone,
    /// When.
    pub at: Stamp,
}

/// All that a ruling depends on beside the policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessQuestion<'a> {
    /// Who asks.
    pub who: Who<'a>,
    /// For what.
    pub action: PolicyAction,
    /// On what.
    pub resource: Resource<'a>,
    /// To what end.
    pub purpose: Option<&'a str>,
    /// Where and when.
    pub circumstances: Circumstances<'a>,
}

/// What policies say to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// Ids of the policies that decided: those that permit where it is allowed, those that forbid
    /// where one does, none where nothing permits. In order.
    pub policies: Vec<Arc<str>>,
    /// What an allowed act obliges to: of all policies that permit, the strictest.
    pub obligations: Obligations,
    /// Policies that could not be asked, and why (Q3): for the operator.
    pub faults: Vec<String>,
}

impl Ruling {
    /// No, because nothing permits it.
    pub(crate) fn denied() -> Self {
        Self {
            is_allowed: false,
            policies: Vec::new(),
            obligations: Obligations::default(),
            faults: Vec::new(),
        }
    }
}

/// What is known of one policy, for lists and explanations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Its id.
    pub id: Arc<str>,
    /// Whether it forbids.
    pub forbids: bool,
    /// Its file.
    pub file: String,
    /// Its line there, counted from 1.
    pub line: usize,
    /// Why, in its author's words.
    pub reason: Option<String>,
    /// What it obliges to.
    pub obligations: Obligations,
}

/// The policies of an environment; see the module invariants.
pub struct Policies {
    environment: EnvName,
    stage: Stage,
    projects: Projects,
    infos: BTreeMap<Arc<str>, PolicyInfo>,
    texts: BTreeMap<Arc<str>, Policy>,
    slices: Slices,
    directory: Directory,
    cache: Cache,
    uses_time: bool,
    digest: Digest,
}

impl Policies {
    /// The policies in `files`, with roles and projects from `projects_file` where there is one.
    /// Linear in the policies, about 15 us each.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with file, line, policy and remedy; see Q4.
    pub fn new(
        environment: EnvName,
        files: &[PolicyFile],
        projects_file: Option<&PolicyFile>,
    ) -> Result<Self, Vec<PolicyError>> {
        let projects = match projects_file {
            Some(file) => read::projects(file)?,
            None => Projects::default(),
        };
        let all = read::policies(files, &projects)?;
        let digest = digest(&environment, files, projects_file);
        let directory = Directory::new(&environment, &projects);
        let (mut infos, mut texts) = (BTreeMap::new(), BTreeMap::new());
        for (id, one) in all {
            let id: Arc<str> = id.into();
            let read::Read { policy, obligations, file, line, reason } = one;
            let forbids = policy.effect() == cedar_policy::Effect::Forbid;
            let info = PolicyInfo { id: id.clone(), forbids, file, line, reason, obligations };
            infos.insert(id.clone(), info);
            texts.insert(id, policy);
        }
        let slices = Slices::new(texts.values());
        // A word is looked for, not an attribute: a false alarm costs one evaluation a minute.
        let uses_time = files.iter().any(|file| file.text.contains("time"));
        let cache = Cache::new();
        Ok(Self {
            environment,
            stage: Stage::default(),
            projects,
            infos,
            texts,
            slices,
            directory,
            cache,
            uses_time,
            digest,
        })
    }

    /// Policies that allow nothing: there are none.
    pub fn none(environment: EnvName) -> Self {
        let (projects, digest) = (Projects::default(), digest(&environment, &[], None));
        Self {
            directory: Directory::new(&environment, &projects),
            environment,
            stage: Stage::default(),
            projects,
            infos: BTreeMap::new(),
            texts: BTreeMap::new(),
            slices: Slices::new(std::iter::empty()),
            cache: Cache::new(),
            uses_time: false,
            digest,
        }
    }

    /// The same for an environment of this stage; without it they are for one of development.
    #[must_use]
    pub fn at_stage(self, stage: Stage) -> Self {
        let parts: [&[u8]; 3] =
            [b"bartizan policies stage 1\n", &self.digest.0, stage.as_str().as_bytes()];
        Self { digest: Digest::of_parts(&parts), stage, cache: Cache::new(), ..self }
    }

    /// What the policies say to `question`. Cached under 2 us, else some 20 us and 0.6 us for each
    /// policy of the slices asked.
    pub fn decide(&self, question: &AccessQuestion<'_>) -> Arc<Ruling> {
        let key = question.key(self.uses_time);
        if let Some(ruling) = self.cache.get(&key) {
            return ruling;
        }
        let ruling = Arc::new(self.decide_anew(question));
        self.cache.put(&key, &ruling);
        ruling
    }

    /// [`Policies::decide`] without what was decided before.
    pub fn decide_anew(&self, question: &AccessQuestion<'_>) -> Ruling {
        let asked = match self.directory.ask(question, self) {
            Ok(asked) => asked,
            Err(fault) => return Ruling { faults: vec![fault], ..Ruling::denied() },
        };
        let found = self.slices.ask(question.action, &asked);
        if !found.faults.is_empty() || !found.forbids.is_empty() {
            let policies = self.ids(&found.forbids);
            return Ruling { policies, faults: found.faults, ..Ruling::denied() };
        }
        let mut ruling = Ruling { is_allowed: !found.permits.is_empty(), ..Ruling::denied() };
        ruling.policies = self.ids(&found.permits);
        for id in &ruling.policies {
            if let Some(info) = self.infos.get(id) {
                ruling.obligations = ruling.obligations.and(&info.obligations);
            }
        }
        ruling
    }

    fn ids(&self, found: &std::collections::BTreeSet<String>) -> Vec<Arc<str>> {
        let own = |id: &String| self.infos.get_key_value(id.as_str()).map(|(id, _)| id.clone());
        found.iter().filter_map(own).collect()
    }

    /// What is known of every policy, by id.
    pub fn infos(&self) -> impl Iterator<Item = &PolicyInfo> {
        self.infos.values()
    }

    /// What is known of policy `id`.
    pub fn info(&self, id: &str) -> Option<&PolicyInfo> {
        self.infos.get(id)
    }

    /// The text of policy `id`, as Cedar spells it.
    pub fn text(&self, id: &str) -> Option<String> {
        self.texts.get(id).map(ToString::to_string)
    }

    /// Roles and projects.
    pub fn projects(&self) -> &Projects {
        &self.projects
    }

    /// The environment that they are for.
    pub fn environment(&self) -> &EnvName {
        &self.environment
    }

    /// Digest of schema, policies, roles and projects: what records call the policy's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policies({}, {} policies, {})", self.environment, self.infos.len(), self.digest)
    }
}

impl AccessQuestion<'_> {
    /// Every byte that a ruling depends on; parts are framed by their lengths (F1).
    fn key(&self, uses_time: bool) -> Vec<u8> {
        let mut key = Vec::with_capacity(192);
        let mut put = |part: &[u8]| {
            key.extend_from_slice(&(part.len() as u32).to_le_bytes());
            key.extend_from_slice(part);
        };
        put(&[self.action as u8, self.circumstances.zone as u8]);
        put(self.circumstances.listener.as_bytes());
        if uses_time {
            put(&entities::minute_of(self.circumstances.at).to_le_bytes());
        }
        match self.purpose {
            Some(purpose) => put(purpose.as_bytes()),
            None => put(&[0xff]), // no UTF-8 text
        }
        match self.who {
            Who::Local { uid } => put(&uid.to_le_bytes()),
            Who::Principal { name, groups, method, strength, scopes } => {
                put(name.as_bytes());
                put(method.as_bytes());
                put(&[strength]);
                put(&[scopes.len() as u8]);
                scopes.iter().for_each(|scope| put(scope.as_bytes()));
                groups.iter().for_each(|group| put(group.as_bytes()));
            }
        }
        match self.resource {
            Resource::Environment => put(b"\x00"),
            Resource::Project(name) => [b"\x01", name.as_bytes()].into_iter().for_each(put),
            Resource::Model { name, version } => {
                let version = version.map_or(0, |version| version.0.get());
                [b"\x02", name.as_str().as_bytes(), &version.to_le_bytes()]
                    .into_iter()
                    .for_each(put);
            }
            Resource::Registered { name, version, by } => {
                let version = version.map_or(0, |version| version.0.get());
                let by = match by {
                    Registrar::Principal(by) => by.as_bytes(),
                    Registrar::Local => &[0xff], // no UTF-8 text
                };
                [b"\x06", name.as_str().as_bytes(), &version.to_le_bytes(), by]
                    .into_iter()
                    .for_each(put);
            }
            Resource::Dataset(name) => [b"\x03", name.as_bytes()].into_iter().for_each(put),
            Resource::Column { dataset, name, class } => {
                [b"\x04", dataset.as_bytes(), name.as_bytes(), class.as_bytes()]
                    .into_iter()
                    .for_each(put);
            }
            Resource::Decision { id, model } => {
                let model = model.map_or("", ModelName::as_str);
                [b"\x05", id.as_bytes(), model.as_bytes()].into_iter().for_each(put);
            }
        }
        key
    }
}

fn digest(
    environment: &EnvName,
    files: &[PolicyFile],
    projects_file: Option<&PolicyFile>,
) -> Digest {
    let mut text = format!("bartizan policies 1\n{environment}\n");
    text += &format!("schema {}\n", Digest::of(SCHEMA_TEXT.as_bytes()));
    for file in files.iter().chain(projects_file) {
        text += &format!("{} {}\n", Digest::of(file.text.as_bytes()), file.name);
    }
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests;
