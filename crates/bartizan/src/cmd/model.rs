//! `bartizan model add|inspect|list|load|unload|remove`.

use std::io;
use std::path::{Path, PathBuf};

use bartizan_core::{Digest, ModelName, ModelVersion};
use bartizan_outbound::OsEntropy;

use super::{Failure, Format, Outcome, Place, recorded, world};
use crate::answer::Answer;
use crate::environment::Environment;
use crate::gate::Judged;
use crate::gate::in_process::InProcess;
use crate::models::Repository;
use crate::models::prepare::{self, Brought, PrepareError, Prepared};
use crate::owner::operation::{ModelAdd, ModelRef, ModelRow, Operation, Outcome as Performed};
use crate::owner::reach::{Reach, ReachError};
use crate::render::table::Table;

mod except;
mod extend;
mod operators;

/// Arguments of `bartizan model`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Add a model, and serve it
    Add {
        /// The model and what comes with it
        #[command(flatten)]
        file: FileArgs,
        /// Its name [default: the file's]
        #[arg(long, value_name = "NAME")]
        name: Option<ModelName>,
        /// Its version [default: the next]
        #[arg(long, value_name = "N")]
        version: Option<ModelVersion>,
        /// Shape of the answer
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print the contract that a model would be served under
    Inspect {
        /// The model and what comes with it
        #[command(flatten)]
        file: FileArgs,
        /// List its operators instead, where each runs and what it costs; also of a model that
        /// does not load
        #[arg(long)]
        operators: bool,
    },
    /// List models
    List {
        /// Shape of the list
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Serve a model that was unloaded
    Load(RefArgs),
    /// Stop serving a model, and keep it
    Unload(RefArgs),
    /// Stop serving a model, and remove it
    Remove(RefArgs),
    /// Sign an exception: a model may be loaded although the model gate does not clear it
    Except(except::ExceptArgs),
    /// Make a key that signs exceptions
    ExceptKey(except::KeyArgs),
    /// Sign an extension of the model gate's allow-list, for given files or a publisher's
    Extend(extend::ExtendArgs),
    /// Sign, as its publisher, that a file is one's own: extensions for that publisher count for it
    Publish(extend::PublishArgs),
}

/// A model's file and what comes with it.
#[derive(Debug, clap::Args)]
pub(crate) struct FileArgs {
    /// The model, an ONNX file
    file: PathBuf,
    /// Its contract (TOML); inferred from the model where absent
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Rows that it was trained on (Parquet), to sharpen an inferred contract
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// A signed exception from the model gate; `bartizan model except` makes one
    #[arg(long, value_name = "FILE")]
    exception: Option<PathBuf>,
    /// A profile of its honest rows; `bartizan guard fit` makes one
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// The same where no file need be given.
#[derive(Debug, clap::Args)]
pub(crate) struct OptionalFileArgs {
    /// A model to serve in a temporary environment on loopback [default: serve the environment]
    file: Option<PathBuf>,
    /// Its contract (TOML); inferred from the model where absent
    #[arg(long, value_name = "FILE", requires = "file")]
    contract: Option<PathBuf>,
    /// Rows that it was trained on (Parquet), to sharpen an inferred contract
    #[arg(long, value_name = "FILE", requires = "file")]
    reference: Option<PathBuf>,
}

impl OptionalFileArgs {
    /// The file and what comes with it, if one is given.
    pub(crate) fn given(&self) -> Option<FileArgs> {
        let Self { file, contract, reference } = self;
        let (contract, reference) = (contract.clone(), reference.clone());
        Some(FileArgs { file: file.clone()?, contract, reference, exception: None, profile: None })
    }
}

impl FileArgs {
    /// The model's file.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }
}

impl FileArgs {
    /// A model at `file`, with its contract.
    pub(crate) fn of(file: &Path, contract: Option<&Path>) -> Self {
        let contract = contract.map(Path::to_owned);
        Self { file: file.to_owned(), contract, reference: None, exception: None, profile: None }
    }
}

/// One version of a model.
#[derive(Debug, clap::Args)]
pub(crate) struct RefArgs {
    /// Its name
    name: ModelName,
    /// Its version
    version: ModelVersion,
}

impl RefArgs {
    fn model(&self) -> ModelRef {
        ModelRef { name: self.name.clone(), version: self.version }
    }
}

/// Runs `bartizan model`.
///
/// # Errors
/// What the file, or the store's owner, says.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Add { file, name, version, format } => {
            let name = match name {
                Some(name) => name.clone(),
                None => name_of(&file.file).map_err(Failure::usage)?,
            };
            let row = add(file, name, *version, &place.environment)?;
            let done = match row.state.as_str() {
                "loaded" => "is in service",
                _ => {
                    "is registered; whoever may deploy it puts it into service: bartizan model load"
                }
            };
            show(&row, *format, done, out)
        }
        Args::Inspect { file, operators: false } => inspect(file, place, out),
        Args::Inspect { file, operators: true } => {
            let bounds = bounds(&place.environment);
            let found = prepare::inspect(file.path(), &bounds).map_err(failure)?;
            operators::show(&found, out)
        }
        Args::List { format } => {
            // A verb that only reads takes no lock: versions come and go whole.
            let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
            let shelved = repository(&environment).list().map_err(Failure::unknown)?;
            let rows: Vec<_> = shelved.iter().map(|one| one.row(None)).collect();
            list(&rows, *format, out)
        }
        Args::Load(model) => change(place, Operation::ModelLoad(model.model()), "is in service"),
        Args::Unload(model) => {
            change(place, Operation::ModelUnload(model.model()), "is out of service")
        }
        Args::Remove(model) => change(place, Operation::ModelRemove(model.model()), "is gone"),
        Args::Except(args) => except::except(args),
        Args::ExceptKey(args) => except::make_key(args, out),
        Args::Extend(args) => extend::extend(args),
        Args::Publish(args) => extend::publish(args),
    }
}

fn repository(environment: &Environment) -> Repository {
    Repository::new(environment.models_dir(), environment.config().models.file_bytes_max)
}

fn perform(place: &Place, operation: &Operation) -> Result<Performed, Failure> {
    Ok(Reach::open(&place.environment, &world())?.perform(operation)?)
}

fn unexpected() -> Failure {
    Failure::unknown("the store's owner answered another question; is it of another release?")
}

fn change(place: &Place, operation: Operation, done: &str) -> Outcome {
    let Performed::Model(row) = perform(place, &operation)? else { return Err(unexpected()) };
    say(&row, done);
    Ok(Answer::Yes)
}

fn say(row: &ModelRow, done: &str) {
    eprintln!("Model {} version {} {done}.", row.name, row.version);
    if let Some(receipt) = &row.receipt {
        eprintln!("Receipt {receipt}");
    }
}

fn show(row: &ModelRow, format: Format, done: &str, out: &mut dyn io::Write) -> Outcome {
    say(row, done);
    match format {
        Format::Text => writeln!(out, "{} {}", row.name, row.version)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(row)?)?,
    }
    Ok(Answer::Yes)
}

/// The file's name as a model's: lower case, what names do not have as `-`.
///
/// # Errors
/// Where nothing of it is left.
pub(crate) fn name_of(file: &Path) -> Result<ModelName, String> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let text: String = stem.chars().map(plain).take(ModelName::LEN_MAX).collect();
    let text = text.trim_matches('-');
    text.parse().map_err(|_| {
        format!("`{}` gives no name for a model; name it with `--name`", file.display())
    })
}

fn prepared(
    file: &FileArgs,
    bounds: &crate::config::Models,
    place: &Place,
) -> Result<Prepared, Failure> {
    let keys = match Environment::open(&place.environment) {
        Ok(environment) => environment.exception_keys().map_err(Failure::unknown)?,
        Err(_) => Vec::new(),
    };
    let brought = Brought {
        model: &file.file,
        contract: file.contract.as_deref(),
        reference: file.reference.as_deref(),
        exception: file.exception.as_deref(),
        profile: file.profile.as_deref(),
        exception_keys: &keys,
    };
    let prepared = match prepare::prepare(&brought, bounds, &InProcess) {
        Ok(prepared) => prepared,
        Err(error) => {
            // A file that gets no further than here was scanned all the same.
            if let Some(judged) = error.judged() {
                record(file, judged, place)?;
            }
            return Err(failure(error));
        }
    };
    for remark in &prepared.remarks {
        eprintln!("Note: {remark}.");
    }
    Ok(prepared)
}

fn record(file: &FileArgs, judged: &Judged, place: &Place) -> Result<(), Failure> {
    let bytes = std::fs::metadata(&file.file).map_or(0, |meta| meta.len());
    let run = judged.run(&file.file.to_string_lossy(), bytes);
    eprintln!("{}", recorded::run(place, &run)?);
    Ok(())
}

fn failure(error: PrepareError) -> Failure {
    if error.is_no() { Failure::no(error) } else { Failure::unknown(error) }
}

/// Checks what `file` brings, stages it, and has the store's owner add it.
///
/// # Errors
/// What the file, or the store's owner, says.
pub(crate) fn add(
    file: &FileArgs,
    name: ModelName,
    version: Option<ModelVersion>,
    root: &Path,
) -> Result<ModelRow, Failure> {
    let environment = Environment::open(root).map_err(Failure::unknown)?;
    let bounds = &environment.config().models;
    let prepared = prepared(file, bounds, &Place { environment: root.to_owned() })?;
    let repository = repository(&environment);
    let files = &prepared.files;
    let staged = repository.stage(files, &OsEntropy).map_err(Failure::unknown)?;
    let operation = Operation::ModelAdd(ModelAdd {
        name,
        version,
        staged: staged.clone(),
        model: Digest::of(&files.model),
        contract: Digest::of(&files.contract),
        unserved: false,
        profile: files.profile.as_deref().map(Digest::of),
    });
    let performed = Reach::open(root, &world()).and_then(|reach| reach.perform(&operation));
    match performed {
        Ok(performed) => {
            let Performed::Model(row) = performed else { return Err(unexpected()) };
            Ok(row)
        }
        Err(error) => {
            // An owner that did not answer may be at it still: what is staged is left to it.
            if !matches!(error, ReachError::Call(_)) {
                repository.unstage(&staged);
            }
            Err(error.into())
        }
    }
}

/// Needs no environment; where there is one, its bounds hold.
fn bounds(root: &Path) -> crate::config::Models {
    Environment::open(root)
        .map_or_else(|_| crate::config::Models::default(), |env| env.config().models.clone())
}

fn inspect(file: &FileArgs, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let prepared = prepared(file, &bounds(&place.environment), place)?;
    record(file, &prepared.judged, place)?;
    out.write_all(&prepared.files.contract)?;
    let (predictor, recipe) = (&prepared.predictor, prepared.predictor.recipe());
    eprintln!(
        "Runs on {} {}, {} bytes in memory, about {} ns a row.",
        recipe.engine,
        recipe.version,
        predictor.resident_bytes(),
        predictor.row_cost_ns()
    );
    Ok(Answer::Yes)
}

fn list(models: &[ModelRow], format: Format, out: &mut dyn io::Write) -> Outcome {
    if format == Format::Json {
        writeln!(out, "{}", serde_json::to_string_pretty(models)?)?;
        return Ok(Answer::Yes);
    }
    let mut table = Table::new(&["NAME", "VERSION", "STATE", "BYTES", "MODEL", "CONTRACT"]);
    for model in models {
        table.push(vec![
            model.name.to_string(),
            model.version.to_string(),
            model.state.clone(),
            model.model_bytes.to_string(),
            model.model.short(),
            model.contract.short(),
        ]);
    }
    write!(out, "{table}")?;
    if models.is_empty() {
        eprintln!("No models yet; `bartizan model add MODEL.onnx` adds one.");
    }
    Ok(Answer::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_after_its_file() {
        for (file, name) in [
            ("a/Fraud Model_v2.onnx", Some("fraud-model-v2")),
            ("model.onnx", Some("model")),
            ("2x.onnx", None),
            (".onnx", Some("onnx")),
            ("___.onnx", None),
        ] {
            let found = name_of(Path::new(file)).ok();
            assert_eq!(found.as_ref().map(ModelName::as_str), name, "{file}");
        }
    }
}
