//! `bartizan access`: who may do what, why, and how that changes.

mod diff;
mod history;
mod question;
mod review;
mod table;
mod why;

use std::io;
use std::path::{Path, PathBuf};

use bartizan_access::{Policies, SCHEMA_TEXT};

use super::{Failure, Outcome, Place, world};
use crate::answer::Answer;
use crate::environment::Environment;
use crate::owner::operation::{AccessReload, Operation, Outcome as Performed};
use crate::owner::reach::Reach;
use crate::policies::{self, PoliciesError, Texts};

/// Arguments of `bartizan access`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Say whether somebody may do something, and which policies decide that
    Why(why::Args),
    /// Hold the policies against a file of expected answers
    Test(table::Args),
    /// Say everything that is wrong with policies, roles and projects
    Check {
        /// A folder of policies, or one file [default: the environment's]
        place: Option<PathBuf>,
    },
    /// Say which recorded requests two sets of policies answer differently, and what NEW grants
    /// that OLD does not
    Diff(diff::Args),
    /// Compare what each principal may do with what it did, and propose to take away the rest
    Review(review::Args),
    /// Put changed policies in force, in a running server too
    Reload,
    /// Write the starter policies into an environment that has none
    Init,
    /// Print the Cedar schema that policies are checked against
    Schema,
}

/// Runs `bartizan access`.
///
/// # Errors
/// What could not be read, or what the store's owner says.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Why(args) => why::run(args, place, out),
        Args::Test(args) => table::run(args, place, out),
        Args::Check { place: given } => check(given.as_deref(), place, out),
        Args::Diff(args) => diff::run(args, place, out),
        Args::Review(args) => review::run(args, place, out),
        Args::Reload => reload(place),
        Args::Init => init(place),
        Args::Schema => {
            out.write_all(SCHEMA_TEXT.as_bytes())?;
            Ok(Answer::Yes)
        }
    }
}

/// The policies in `given`, or those of the environment.
fn policies_of(given: Option<&Path>, place: &Place) -> Result<Policies, Failure> {
    match given {
        Some(folder) => {
            let texts = Texts::read_from(folder).map_err(Failure::unknown)?;
            let own = environment_of(place);
            let checked = texts.check(&own.name, folder).map_err(wrong)?;
            Ok(checked.at_stage(own.stage.into()))
        }
        None => {
            let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
            let loaded =
                policies::load(&environment.policies_dir(), &environment.config().environment);
            Ok(loaded.map_err(wrong)?.0)
        }
    }
}

/// Policies that are wrong are a no; those that cannot be read an unknown.
fn wrong(error: PoliciesError) -> Failure {
    match error {
        error @ PoliciesError::Wrong { .. } => Failure::no(error),
        error @ (PoliciesError::File(_)
        | PoliciesError::TooMany { .. }
        | PoliciesError::NotText { .. }) => Failure::unknown(error),
    }
}

/// The environment's name and stage, or those of `dev` where policies are looked at outside one.
fn environment_of(place: &Place) -> crate::config::Environment {
    match Environment::open(&place.environment) {
        Ok(environment) => environment.config().environment.clone(),
        Err(_) => crate::config::Environment::default(),
    }
}

fn check(given: Option<&Path>, place: &Place, out: &mut dyn io::Write) -> Outcome {
    match policies_of(given, place) {
        Ok(policies) => {
            let n_projects = policies.projects().all().count();
            writeln!(
                out,
                "{} policies and {n_projects} projects are in order; digest {}",
                policies.infos().count(),
                policies.digest()
            )?;
            Ok(Answer::Yes)
        }
        Err(failure) => match failure.error.downcast_ref::<PoliciesError>() {
            Some(PoliciesError::Wrong { errors, .. }) => {
                for error in errors {
                    writeln!(out, "{error}")?;
                }
                Ok(Answer::No)
            }
            Some(_) | None => Err(failure),
        },
    }
}

fn reload(place: &Place) -> Outcome {
    let policies = policies_of(None, place)?;
    let operation = Operation::AccessReload(AccessReload { policies: Some(policies.digest()) });
    let performed = Reach::open(&place.environment, &world())?.perform(&operation)?;
    let Performed::Policies { policies, n_policies, receipt } = performed else {
        return Err(Failure::unknown("the store's owner answered another question"));
    };
    match receipt {
        Some(receipt) => eprintln!("{n_policies} policies are in force now; receipt {receipt}"),
        None => eprintln!("These {n_policies} policies are in force already; nothing changed."),
    }
    eprintln!("Digest {policies}");
    Ok(Answer::Yes)
}

fn init(place: &Place) -> Outcome {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let folder = environment.policies_dir();
    if folder.exists() {
        let text = format!("`{}` is there already; nothing was changed", folder.display());
        return Err(Failure::no(text));
    }
    policies::write_starter(&folder).map_err(Failure::unknown)?;
    eprintln!("Wrote the starter policies into {}.", folder.display());
    eprintln!(
        "Put people into its projects.toml, then: bartizan access check && bartizan access reload"
    );
    Ok(Answer::Yes)
}
