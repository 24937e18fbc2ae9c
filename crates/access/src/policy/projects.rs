//! `projects.toml`: who holds which role, in the environment or in one project, and what is whose.
//!
//! Invariants
//! - U1: in one project nobody holds two of data-scientist, reviewer and deployer, whether in the
//!   project or in the whole environment, by his own name or by a group's; what groups of an
//!   identity provider hold is not known here, so that policies forbid it once more;
//! - U2: a model or a dataset is one project's; what none lists is in [`DEFAULT_PROJECT`];
//! - U3: the file is bounded: [`PROJECTS_MAX`], [`MEMBERS_MAX`].

use std::collections::{BTreeMap, BTreeSet};

use bartizan_core::{EnvName, ModelName, PrincipalName};

/// The project of whatever no project lists.
pub const DEFAULT_PROJECT: &str = "default";
/// Most projects of an environment.
pub const PROJECTS_MAX: usize = 1_024;
/// Most names in all lists of members together.
pub const MEMBERS_MAX: usize = 131_072;
/// Longest name of a group or dataset, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// How a list of members names a group.
const GROUP_MARK: &str = "group:";
/// How groups that are made here (the holders of a role in a project) begin: no group of a file or
/// of an identity provider does.
pub(super) const HOLDERS_MARK: &str = "project:";

/// The roles that one person may hold.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Owns rows: vets them, and opens what is sealed in the project.
    DataOwner,
    /// Registers models.
    DataScientist,
    /// Approves models.
    Reviewer,
    /// Puts models into service.
    Deployer,
    /// Reads records, never what is sealed.
    Auditor,
    /// Runs the place, sees no data.
    Operator,
    /// Asks models.
    Workload,
}

impl Role {
    /// All of them, in the schema's order.
    pub const ALL: &[Self] = &[
        Self::DataOwner,
        Self::DataScientist,
        Self::Reviewer,
        Self::Deployer,
        Self::Auditor,
        Self::Operator,
        Self::Workload,
    ];

    /// The word of files and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DataOwner => "data-owner",
            Self::DataScientist => "data-scientist",
            Self::Reviewer => "reviewer",
            Self::Deployer => "deployer",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Workload => "workload",
        }
    }

    /// The attribute of a project that names its holders.
    pub(super) fn attribute(self) -> &'static str {
        match self {
            Self::DataOwner => "dataOwners",
            Self::DataScientist => "dataScientists",
            Self::Reviewer => "reviewers",
            Self::Deployer => "deployers",
            Self::Auditor => "auditors",
            Self::Operator => "operators",
            Self::Workload => "workloads",
        }
    }
}

/// U1: of these, one hand holds at most one in a project.
const SPLIT: [Role; 3] = [Role::DataScientist, Role::Reviewer, Role::Deployer];

/// One project, as it stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Project {
    /// Who administers it.
    pub owners: BTreeSet<String>,
    /// Its models, in all their versions.
    pub models: BTreeSet<ModelName>,
    /// Its datasets.
    pub datasets: BTreeSet<String>,
    /// Who holds which role in it.
    pub roles: BTreeMap<Role, BTreeSet<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    groups: BTreeMap<String, BTreeSet<String>>,
    roles: BTreeMap<Role, BTreeSet<String>>,
    projects: BTreeMap<EnvName, Project>,
}

/// Roles, groups and projects of an environment; see the module invariants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projects {
    file: File,
    project_of_model: BTreeMap<ModelName, EnvName>,
    project_of_dataset: BTreeMap<String, EnvName>,
}

/// What is wrong with the text of `projects.toml`: a place in it, or a name of it, and why.
pub(super) struct Flaw {
    /// Where, in bytes.
    pub(super) offset: Option<usize>,
    /// What the line is to be looked for by, where the offset is not known.
    pub(super) name: String,
    /// What is wrong, and the remedy.
    pub(super) reason: String,
}

impl Projects {
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let file: File = toml::from_str(text).map_err(|error| Flaw {
            offset: error.span().map(|span| span.start),
            name: String::new(),
            reason: error.message().to_owned(),
        })?;
        let mut this = Self { file, ..Self::default() };
        this.check().map_err(|(name, reason)| Flaw { offset: None, name, reason })?;
        for (name, project) in &this.file.projects {
            for model in &project.models {
                this.project_of_model.insert(model.clone(), name.clone());
            }
            for dataset in &project.datasets {
                this.project_of_dataset.insert(dataset.clone(), name.clone());
            }
        }
        Ok(this)
    }

    fn check(&self) -> Result<(), (String, String)> {
        let File { groups, roles, projects } = &self.file;
        if PROJECTS_MAX < projects.len() {
            return Err((String::new(), format!("there are more than {PROJECTS_MAX} projects")));
        }
        let lists = groups.values().chain(roles.values());
        let in_projects = projects.values().flat_map(|one| one.roles.values().chain([&one.owners]));
        let mut n_members = 0;
        for member in lists.chain(in_projects).flatten() {
            n_members += 1;
            check_member(member)?;
        }
        if MEMBERS_MAX < n_members {
            let reason = format!("its lists have {n_members} members, the limit is {MEMBERS_MAX}");
            return Err((String::new(), reason));
        }
        for (group, members) in groups {
            let marked = group.contains('/') || group.contains(':');
            if group.is_empty() || NAME_BYTES_MAX < group.len() || marked {
                let reason = "a group here has a name of 1 to 256 bytes without `/` and `:`, \
                              which mark groups of an identity provider and of projects";
                return Err((group.clone(), reason.into()));
            }
            if let Some(inner) = members.iter().find(|name| name.starts_with(GROUP_MARK)) {
                let reason = "a group has principals, no groups: list its members themselves";
                return Err((inner.clone(), reason.into()));
            }
        }
        self.check_ownership()?;
        self.check_duties()
    }

    /// U2.
    fn check_ownership(&self) -> Result<(), (String, String)> {
        let (mut models, mut datasets) = (BTreeMap::new(), BTreeMap::new());
        for (name, project) in &self.file.projects {
            if name.as_str() == DEFAULT_PROJECT && !project.models.is_empty() {
                let reason = "`default` is the project of what no project lists: list no models";
                return Err((name.to_string(), reason.into()));
            }
            for model in &project.models {
                if let Some(other) = models.insert(model, name) {
                    let reason = format!("it is in the projects `{other}` and `{name}`: keep one");
                    return Err((model.to_string(), reason));
                }
            }
            for dataset in &project.datasets {
                if dataset.is_empty() || NAME_BYTES_MAX < dataset.len() {
                    let reason = "a dataset's name has 1 to 256 bytes";
                    return Err((dataset.clone(), reason.into()));
                }
                if let Some(other) = datasets.insert(dataset, name) {
                    let reason = format!("it is in the projects `{other}` and `{name}`: keep one");
                    return Err((dataset.clone(), reason));
                }
            }
        }
        Ok(())
    }

    /// U1.
    fn check_duties(&self) -> Result<(), (String, String)> {
        let none = Project::default();
        let named = self.file.projects.iter().map(|(name, project)| (name.as_str(), project));
        for (name, project) in [(DEFAULT_PROJECT, &none)].into_iter().chain(named) {
            let mut held: BTreeMap<&str, Role> = BTreeMap::new();
            for role in SPLIT {
                let in_project = project.roles.get(&role).into_iter();
                let everywhere = self.file.roles.get(&role).into_iter();
                let members: BTreeSet<&str> = in_project
                    .chain(everywhere)
                    .flatten()
                    .flat_map(|text| self.expand(text))
                    .collect();
                for member in members {
                    if let Some(other) = held.insert(member, role) {
                        let reason = format!(
                            "in project `{name}` it is {} and {} at once; nobody builds, reviews \
                             and deploys the same models: take it out of one",
                            other.as_str(),
                            role.as_str()
                        );
                        return Err((member.to_owned(), reason));
                    }
                }
            }
        }
        Ok(())
    }

    /// The principals that `member` stands for, and itself.
    fn expand<'a>(&'a self, member: &'a str) -> impl Iterator<Item = &'a str> {
        let group = member.strip_prefix(GROUP_MARK).and_then(|name| self.file.groups.get(name));
        std::iter::once(member).chain(group.into_iter().flatten().map(String::as_str))
    }

    /// The project of `model`.
    pub fn of_model(&self, model: &ModelName) -> &str {
        self.project_of_model.get(model).map_or(DEFAULT_PROJECT, EnvName::as_str)
    }

    /// The project of `dataset`.
    pub fn of_dataset(&self, dataset: &str) -> &str {
        self.project_of_dataset.get(dataset).map_or(DEFAULT_PROJECT, EnvName::as_str)
    }

    /// Every project that is listed, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Project)> {
        self.file.projects.iter().map(|(name, project)| (name.as_str(), project))
    }

    /// The project `name`, where it is listed.
    pub fn get(&self, name: &str) -> Option<&Project> {
        self.file.projects.iter().find(|(own, _)| own.as_str() == name).map(|(_, project)| project)
    }

    /// Every principal that the file names, by name.
    pub fn principals(&self) -> BTreeSet<&str> {
        let File { groups, roles, projects } = &self.file;
        let in_projects = projects.values().flat_map(|one| one.roles.values().chain([&one.owners]));
        let lists = groups.values().chain(roles.values()).chain(in_projects);
        lists.flatten().map(String::as_str).filter(|name| !name.starts_with(GROUP_MARK)).collect()
    }

    /// Every link from a member to what it belongs to, as the entities of policies have it.
    pub(super) fn links(&self) -> impl Iterator<Item = (Member<'_>, Belongs<'_>)> {
        let File { groups, roles, projects } = &self.file;
        let in_groups = groups.iter().flat_map(|(group, members)| {
            members.iter().map(move |name| (member(name), Belongs::Group(group)))
        });
        let in_roles = roles.iter().flat_map(|(role, members)| {
            members.iter().map(move |name| (member(name), Belongs::Role(*role)))
        });
        let in_projects = projects.iter().flat_map(|(project, one)| {
            let owners = one.owners.iter().map(|name| (name, None));
            let holders = one
                .roles
                .iter()
                .flat_map(|(role, names)| names.iter().map(move |name| (name, Some(*role))));
            owners.chain(holders).map(move |(name, role)| {
                (member(name), Belongs::Holders { project: project.as_str(), role })
            })
        });
        in_groups.chain(in_roles).chain(in_projects)
    }
}

/// Who is in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member<'a> {
    Principal(&'a str),
    Group(&'a str),
}

/// What a list makes of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs<'a> {
    Group(&'a str),
    Role(Role),
    /// The holders of a role in a project; its owners where there is no role.
    Holders {
        project: &'a str,
        role: Option<Role>,
    },
}

fn member(text: &str) -> Member<'_> {
    text.strip_prefix(GROUP_MARK).map_or(Member::Principal(text), Member::Group)
}

fn check_member(text: &str) -> Result<(), (String, String)> {
    match member(text) {
        Member::Group(name) if name.is_empty() || NAME_BYTES_MAX < name.len() => {
            Err((text.into(), "a group's name has 1 to 256 bytes".into()))
        }
        Member::Group(name) if name.starts_with(HOLDERS_MARK) => {
            Err((text.into(), "list the holders of that role themselves".into()))
        }
        Member::Group(_) => Ok(()),
        Member::Principal(name) => match name.parse::<PrincipalName>() {
            Ok(_) => Ok(()),
            Err(error) => Err((text.into(), format!("{error}; a group is written `group:NAME`"))),
        },
    }
}
