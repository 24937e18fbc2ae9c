//! The data set in two: rows under findings that block, and all others. Order is kept.

use std::path::Path;

use bartizan_vet::Report;
use bartizan_vet::read;
use bartizan_vet::write::RowWriter;

use super::load::limits;
use crate::cmd::Failure;

/// Writes either part, if it is wanted; reads the data a second time.
pub(super) fn write(
    data: &Path,
    report: &Report,
    quarantine: Option<&Path>,
    clean: Option<&Path>,
) -> Result<(), Failure> {
    if quarantine.is_none() && clean.is_none() {
        return Ok(());
    }
    let mut is_bad = vec![false; report.n_rows];
    for row in report.quarantined() {
        is_bad[row as usize] = true;
    }
    let is_good: Vec<bool> = is_bad.iter().map(|bad| !bad).collect();
    for (path, keep) in [(quarantine, &is_bad), (clean, &is_good)] {
        let Some(path) = path else { continue };
        let mut writer = RowWriter::create(path)?;
        let mut start = 0;
        for file in read::files(data)? {
            for batch in read::open(&file, &limits())? {
                let batch = batch?;
                let keep = keep.get(start..start + batch.n_rows);
                let keep = keep.ok_or_else(|| Failure::unknown("the data changed meanwhile"))?;
                writer.append(&batch, keep)?;
                start += batch.n_rows;
            }
        }
        writer.finish()?;
    }
    Ok(())
}
