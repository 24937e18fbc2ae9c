//! A data set from its files, with their digests.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bartizan_core::Digest;
use bartizan_vet::read::{self, ReadLimits};
use bartizan_vet::table::{Builder, Plan, Table};

use crate::answer::Answer;
use crate::cmd::{Failure, Outcome};

/// Bytes hashed at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What a file is known by.
pub(crate) struct FileDigest {
    /// Its name within the data set.
    pub(crate) name: String,
    /// Digest of its bytes.
    pub(crate) digest: Digest,
    /// Its size.
    pub(crate) bytes: u64,
    /// Digests of its row groups, in order.
    pub(crate) row_groups: Vec<Digest>,
}

/// A data set in memory.
pub(crate) struct Loaded {
    /// Its rows.
    pub(crate) table: Table,
    /// Its files.
    pub(crate) digests: Vec<FileDigest>,
}

/// Limits that suit data sets: rows and bytes are bounded by `--memory` as they are packed.
pub(crate) fn limits() -> ReadLimits {
    ReadLimits {
        file_bytes_max: 1 << 40,
        rows_max: 1 << 32,
        decoded_bytes_max: 1 << 44,
        ..ReadLimits::default()
    }
}

/// Reads the data set at `path`.
pub(super) fn load(path: &Path, plan: &Plan) -> Result<Loaded, Failure> {
    let mut builder = Builder::new(plan.clone());
    let mut digests = Vec::new();
    for file in read::files(path)? {
        for batch in read::open(&file, &limits())? {
            builder.push(&batch?)?;
        }
        digests.push(digest(path, &file)?);
    }
    Ok(Loaded { table: builder.finish()?, digests })
}

/// Reads a baseline: label, source and text play their parts where it has them.
pub(super) fn baseline(path: &Path, plan: &Plan) -> Result<Loaded, Failure> {
    let first = read::files(path)?.into_iter().next();
    let head = first.map(|file| read::open(&file, &limits())).transpose()?;
    let head = head.and_then(|mut batches| batches.next()).transpose()?;
    let has = |name: &Option<String>| {
        name.clone().filter(|name| head.as_ref().is_some_and(|rows| rows.column(name).is_some()))
    };
    let plan = Plan {
        label: has(&plan.label),
        source: has(&plan.source),
        text: has(&plan.text),
        memory_bytes_max: plan.memory_bytes_max,
    };
    load(path, &plan)
}

fn digest(root: &Path, path: &Path) -> Result<FileDigest, Failure> {
    let mut file = File::open(path)?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        context.update(&chunk[..read]);
        bytes += read as u64;
    }
    let name = path.strip_prefix(root).ok().filter(|name| !name.as_os_str().is_empty());
    let name = name.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
    let mut row_groups = Vec::new();
    for range in read::row_groups(path)? {
        row_groups.push(range_digest(&file, range, &mut chunk)?);
    }
    Ok(FileDigest { name: name.display().to_string(), digest: finish(context), bytes, row_groups })
}

fn range_digest(file: &File, range: std::ops::Range<u64>, chunk: &mut [u8]) -> io::Result<Digest> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut at = range.start;
    while at < range.end {
        let len = (range.end - at).min(chunk.len() as u64) as usize;
        file.read_exact_at(&mut chunk[..len], at)?;
        context.update(&chunk[..len]);
        at += len as u64;
    }
    Ok(finish(context))
}

fn finish(context: ring::digest::Context) -> Digest {
    let digest = context.finish();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Digest(bytes)
}

/// Reads everything once and counts, without keeping a row.
pub(super) fn sketch(path: &Path, out: &mut dyn io::Write) -> Outcome {
    let (mut n_rows, mut n_missing, mut n_columns) = (0, 0, 0);
    for file in read::files(path)? {
        for batch in read::open(&file, &limits())? {
            let batch = batch?;
            n_rows += batch.n_rows;
            n_columns = batch.columns.len();
            n_missing += batch.columns.iter().map(|column| column.n_missing).sum::<usize>();
        }
    }
    writeln!(out, "{n_rows} rows, {n_columns} columns, {n_missing} values missing")?;
    Ok(Answer::Yes)
}
