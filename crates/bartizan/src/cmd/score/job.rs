//! What is kept of a run until all of it is there: `<answers>.part`, a folder with the terms of
//! the run and a Parquet file for each batch that was answered.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bartizan_core::{Contract, Digest, ModelName, ModelVersion};
use bartizan_vet::read;
use bartizan_vet::write::RowWriter;
use serde::{Deserialize, Serialize};

use super::sheet::Sheet;
use crate::cmd::Failure;
use crate::cmd::vet::load::limits;
use crate::files;

/// Name of the file with the terms.
const TERMS_FILE: &str = "job.json";
/// Longest file of terms, in bytes.
const TERMS_BYTES_MAX: u64 = 64 * 1024;
/// Bytes hashed at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What a run is about; see S2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terms {
    /// Format of this file: 1.
    format: u32,
    /// Its name: digest of the rest, shortened.
    pub(super) id: String,
    /// Digest of the file of rows.
    rows: Digest,
    model: ModelName,
    version: Option<ModelVersion>,
    /// Digest of the contract.
    contract: Digest,
    /// Rows of a batch.
    batch: u64,
}

impl Terms {
    /// The terms of a run on the file `rows`, which is read once.
    pub(super) fn new(
        rows: &Path,
        (model, version): (&ModelName, Option<ModelVersion>),
        contract: &Contract,
        batch: u64,
    ) -> io::Result<Self> {
        let (rows, model, contract) = (digest(rows)?, model.clone(), contract.digest());
        let named = version.map_or_else(String::new, |version| version.to_string());
        let whole = format!("bartizan score 1\n{rows}\n{model}\n{named}\n{contract}\n{batch}\n");
        let id = Digest::of(whole.as_bytes()).short().to_string();
        Ok(Self { format: 1, id, rows, model, version, contract, batch })
    }
}

fn digest(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => context.update(&chunk[..read]),
        }
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Ok(Digest(bytes))
}

/// The folder of a run.
pub(super) struct Job {
    folder: PathBuf,
    answers: PathBuf,
}

impl Job {
    /// Begins the run of `terms` or goes on with it; nothing where its answers are whole already.
    pub(super) fn open(answers: &Path, terms: &Terms) -> Result<Option<Self>, Failure> {
        let mut name = answers.as_os_str().to_owned();
        name.push(".part");
        let job = Self { folder: name.into(), answers: answers.to_owned() };
        let file = job.folder.join(TERMS_FILE);
        let kept = match files::read_bounded(&file, TERMS_BYTES_MAX) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.is_absent() => None,
            Err(error) => return Err(Failure::unknown(error)),
        };
        match kept {
            Some(bytes) if serde_json::from_slice::<Terms>(&bytes).ok().as_ref() != Some(terms) => {
                let text = format!(
                    "`{}` is what is left of a run with other rows, another model or other \
                     batches; finish that one, or remove the folder",
                    job.folder.display()
                );
                return Err(Failure::usage(text));
            }
            // Killed between the last two steps: only the folder is left to remove.
            Some(_) if answers.exists() => {
                fs::remove_dir_all(&job.folder)?;
                return Ok(None);
            }
            Some(_) => {}
            None if answers.exists() => {
                let text =
                    format!("`{}` is there already; answers go into a new file", answers.display());
                return Err(Failure::usage(text));
            }
            None => {
                files::make_private_dir(&job.folder).map_err(Failure::unknown)?;
                let text = serde_json::to_vec_pretty(terms)?;
                files::replace(&file, &text).map_err(Failure::unknown)?;
            }
        }
        Ok(Some(job))
    }

    /// Where what was answered is kept.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn batch_file(&self, idx: u64) -> PathBuf {
        self.folder.join(format!("batch-{idx:012}.parquet"))
    }

    /// Whether batch `idx` was answered.
    pub(super) fn has(&self, idx: u64) -> bool {
        self.batch_file(idx).is_file()
    }

    /// Makes the answers of batch `idx` durable; see S1.
    pub(super) fn keep(&self, idx: u64, rows: &read::Rows) -> Result<(), Failure> {
        let being_written = self.folder.join("writing");
        remove_left_over(&being_written)?;
        let mut writer = RowWriter::create(&being_written)?;
        writer.append(rows, &vec![true; rows.n_rows])?;
        writer.finish()?;
        fs::rename(&being_written, self.batch_file(idx))?;
        files::sync_dir(&self.folder).map_err(Failure::unknown)
    }

    /// Puts the answers' file together from `n_batches` batches and removes the folder. Gives how
    /// many rows were refused.
    pub(super) fn finish(self, sheet: &Sheet, n_batches: u64) -> Result<u64, Failure> {
        let whole = self.folder.join("answers");
        remove_left_over(&whole)?;
        let is_csv = self.answers.extension().is_some_and(|name| name.eq_ignore_ascii_case("csv"));
        let batches = (0..n_batches).map(|idx| {
            let rows = read::read(&self.batch_file(idx), &limits());
            rows.map_err(Failure::from)
        });
        let n_refused = if is_csv {
            sheet.write_csv(&whole, batches)?
        } else {
            write_parquet(&whole, batches)?
        };
        fs::rename(&whole, &self.answers)?;
        let folder = self.answers.parent().filter(|folder| !folder.as_os_str().is_empty());
        files::sync_dir(folder.unwrap_or(Path::new("."))).map_err(Failure::unknown)?;
        fs::remove_dir_all(&self.folder)?;
        Ok(n_refused)
    }
}

fn remove_left_over(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write_parquet(
    path: &Path,
    batches: impl Iterator<Item = Result<read::Rows, Failure>>,
) -> Result<u64, Failure> {
    let mut writer = RowWriter::create(path)?;
    let mut n_refused = 0;
    for rows in batches {
        let rows = rows?;
        n_refused += Sheet::n_refused(&rows);
        writer.append(&rows, &vec![true; rows.n_rows])?;
    }
    writer.finish()?;
    Ok(n_refused)
}

#[cfg(test)]
mod tests {
    use bartizan_core::Values;
    use bartizan_vet::read::{Column, Meaning, Rows};

    use super::*;
    use crate::testing::TempDir;

    fn terms(batch: u64) -> Terms {
        Terms {
            format: 1,
            id: "x".into(),
            rows: Digest::of(b"rows"),
            model: "m".parse().unwrap(),
            version: None,
            contract: Digest::of(b"contract"),
            batch,
        }
    }

    fn rows(range: std::ops::Range<u64>) -> Rows {
        let n_rows = (range.end - range.start) as usize;
        let column = |name: &str, meaning, values| Column {
            name: name.into(),
            meaning,
            width: 1,
            values,
            missing: Vec::new(),
            n_missing: 0,
        };
        let columns = vec![
            column("row", Meaning::Plain, Values::Uint64(range.collect())),
            column("refused", Meaning::Text, Values::Bytes(vec![Vec::new(); n_rows])),
        ];
        Rows { columns, n_rows }
    }

    /// S1: batches that were kept in any order, by several runs, are one file in the rows' order;
    /// what a killed run left half written counts for nothing. S2: other terms are refused.
    #[test]
    fn what_was_kept_is_put_together_in_order_and_under_its_own_terms_only() {
        let scratch = TempDir::new();
        let answers = scratch.path().join("answers.parquet");
        let job = Job::open(&answers, &terms(2)).unwrap().unwrap();
        job.keep(1, &rows(2..4)).unwrap();
        fs::write(job.folder().join("writing"), b"PAR1").unwrap();
        drop(job);
        assert!(Job::open(&answers, &terms(3)).is_err());
        let job = Job::open(&answers, &terms(2)).unwrap().unwrap();
        assert!(job.has(1) && !job.has(0) && !job.has(2));
        job.keep(0, &rows(0..2)).unwrap();
        job.keep(2, &rows(4..5)).unwrap();
        let folder = job.folder().to_owned();
        assert_eq!(job.finish(&Sheet::of_nothing(), 3).unwrap(), 0);
        assert!(!folder.exists());
        let whole = read::read(&answers, &limits()).unwrap();
        assert_eq!(whole.columns[0].values, Values::Uint64((0..5).collect()));
        // A new run does not write over answers.
        assert!(Job::open(&answers, &terms(2)).is_err());
    }
}
