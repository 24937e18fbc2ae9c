//! `bartizan score`: a file of rows through the same gates as a request.
//!
//! Rows are asked in batches, each a request of its own with a record of its own. What was
//! answered is kept beside the answers' file until all is there, so that a run that was killed
//! goes on where it stopped.
//!
//! Invariants
//! - S1: every row of the file has exactly one line among the answers, in the file's order, also
//!   where the run was killed and begun again: the answers of a batch are a whole file, made
//!   durable before the next batch is asked, and the answers' file is put together from them at
//!   the end;
//! - S2: what was begun with one file, model, contract and size of batches is never gone on with
//!   under another.

mod asking;
mod job;
mod sheet;

use std::path::{Path, PathBuf};

use bartizan_core::{Contract, ModelName, ModelVersion};
use bartizan_vet::read::{self, Rows};

use super::vet::load::limits;
use super::{Failure, Outcome, Place};
use crate::answer::Answer;
use crate::environment::Environment;
use crate::models::Repository;
use crate::models::prepare::read_contract;
use crate::render::progress::Progress;
use crate::upstreams;
use asking::{Asking, Batch};
use job::{Job, Terms};
use sheet::Sheet;

/// Arguments of `bartizan score`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model to ask
    model: ModelName,
    /// Its version; the newest that is served where absent
    #[arg(long)]
    version: Option<ModelVersion>,
    /// File of rows: Parquet, CSV, JSON Lines, Arrow or NumPy; columns by the contract's names
    #[arg(long = "in", value_name = "FILE")]
    rows: PathBuf,
    /// File for the answers; CSV where it ends in `.csv`, else Parquet
    #[arg(long = "out", value_name = "FILE")]
    answers: PathBuf,
    /// Rows of a batch: one request, one record
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// File with the key or token to ask with, instead of a key made for this run
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Where the environment's server answers, if not where its configuration says
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// PEM file with the certificates to believe, instead of the environment's own
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Runs `bartizan score`: yes where every row was answered, no where one was refused.
///
/// # Errors
/// Unknown where not all rows could be asked: the same command goes on later.
pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let contract = contract(args, &environment)?;
    let sheet = Sheet::new(&contract).map_err(Failure::no)?;
    let n_rows = count(&args.rows)?;
    let batch = u64::from(args.batch).min(contract.rows_max());
    let terms = Terms::new(&args.rows, (&args.model, args.version), &contract, batch)?;
    let Some(job) = Job::open(&args.answers, &terms)? else {
        eprintln!("{} is whole already.", args.answers.display());
        return Ok(Answer::Yes);
    };
    let asking = Asking::start(args, environment, &terms.id)?;
    let asked = ask_all(args, &contract, &sheet, (&job, &asking), (batch as usize, n_rows));
    asking.end();
    let n_batches = asked.inspect_err(|_| {
        let kept = job.folder().display();
        eprintln!("What was answered is kept in {kept}; the same command goes on from there.");
    })?;
    let n_refused = job.finish(&sheet, n_batches)?;
    let whole = args.answers.display();
    eprintln!("{n_rows} rows, {n_refused} of them refused, in {n_batches} batches: {whole}");
    Ok(if n_refused == 0 { Answer::Yes } else { Answer::No })
}

/// The contract of the model that is asked.
fn contract(args: &Args, environment: &Environment) -> Result<Contract, Failure> {
    let config = environment.config();
    let rows_max = u64::from(config.limits.rows_max);
    let repository = Repository::new(environment.models_dir(), config.models.file_bytes_max);
    let shelved = repository.list().map_err(Failure::unknown)?;
    let newest = shelved.iter().rfind(|one| {
        one.name == args.model && args.version.is_none_or(|version| version == one.version)
    });
    if let Some(shelved) = newest {
        let files = repository.read(shelved).map_err(Failure::unknown)?;
        return read_contract(&files.contract, rows_max).map_err(Failure::unknown);
    }
    let upstream = upstreams::contract_of(environment.root(), &args.model, rows_max);
    upstream.map_err(Failure::unknown)?.ok_or_else(|| {
        let text = format!(
            "there is no model `{}` here; `bartizan model list` shows what there is",
            args.model
        );
        Failure::no(text)
    })
}

/// Reads the whole file once, so that nothing is asked of one that is broken at its end.
fn count(path: &Path) -> Result<u64, Failure> {
    let mut n_rows = 0;
    for batch in read::open(path, &limits())? {
        n_rows += batch?.n_rows as u64;
    }
    Ok(n_rows)
}

/// Asks every batch that was not answered before, and gives how many there are.
fn ask_all(
    args: &Args,
    contract: &Contract,
    sheet: &Sheet,
    (job, asking): (&Job, &Asking),
    (batch, n_rows): (usize, u64),
) -> Result<u64, Failure> {
    let mut progress = Progress::new("scored");
    let (mut n_batches, mut row) = (0, 0);
    for rows in read::open(&args.rows, &limits())? {
        let rows: Rows = rows?;
        let inputs = rows.to_inputs(contract).map_err(Failure::no)?;
        for from in (0..rows.n_rows).step_by(batch.max(1)) {
            let to = rows.n_rows.min(from.saturating_add(batch));
            if !job.has(n_batches) {
                let part = inputs.iter().map(|input| input.rows(from..to)).collect();
                let answers = asking.ask(&Batch { idx: n_batches, inputs: part })?;
                job.keep(n_batches, &sheet.rows(row, &answers)?)?;
            }
            row += (to - from) as u64;
            n_batches += 1;
            progress.at(row, n_rows);
        }
    }
    Ok(n_batches)
}
