//! Messages of object headers.

use super::fields::Fields;
use super::{Walk, attribute, index};
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;

/// Filters that come with the library, and h5py's own; others are libraries that are loaded.
const FILTERS: &[u16] = &[1, 2, 3, 4, 5, 6, 32_000];
const ADVISORIES: &[&str] = &["CVE-2026-1669"];

impl Walk<'_> {
    /// Judges a message; a continuation gives the block in which the header goes on.
    pub(super) fn message(
        &mut self,
        scope: &mut Scope<'_>,
        kind: u16,
        flags: u8,
        body: &mut Fields<'_>,
    ) -> Result<Option<(u64, u64)>, Stop> {
        let at = body.at();
        // A message that lies elsewhere; only types of data are commonly shared.
        if flags & 2 != 0 {
            return match kind {
                1 | 3 | 4 | 5 => Ok(None),
                _ => Err(Stop::Unjudged("shared messages of HDF5")),
            };
        }
        match kind {
            0x00 | 0x01 | 0x03..=0x05 | 0x0a | 0x0d | 0x0e | 0x12 | 0x13 | 0x16 | 0x17 => {}
            0x02 => index::links(self, scope, body)?,
            0x06 => self.link(scope, body)?,
            0x07 => {
                let what = "a dataset's values lie in other files";
                scope.report_known(&rules::HDF5_EXTERNAL, at, what.to_owned(), ADVISORIES);
            }
            0x08 => self.layout(scope, body)?,
            0x0b => filters(scope, body)?,
            0x0c => attribute::read(self, scope, body)?,
            0x0f => return Err(Stop::Unjudged("tables of shared messages of HDF5")),
            0x10 => {
                let block = body.offset()?.ok_or(Stop::broken(at, "a header goes on nowhere"))?;
                return Ok(Some((block, body.length()?)));
            }
            0x11 => index::old_group(self, scope, body)?,
            0x14 => scope.report(&rules::HDF5_EXTERNAL, at, "a driver of several files"),
            0x15 => index::attributes(self, scope, body)?,
            _ => {
                let what = format!("a message of the unknown kind {kind:#x}");
                scope.report(&rules::FILE_BROKEN, at, what);
            }
        }
        Ok(None)
    }

    /// A link of the new kind.
    pub(super) fn link(
        &mut self,
        scope: &mut Scope<'_>,
        body: &mut Fields<'_>,
    ) -> Result<(), Stop> {
        let at = body.at();
        if body.u8()? != 1 {
            return Err(Stop::broken(at, "a link of an unknown version"));
        }
        let flags = body.u8()?;
        let kind = if flags & 8 == 0 { 0 } else { body.u8()? };
        if flags & 4 != 0 {
            body.skip(8)?;
        }
        if flags & 16 != 0 {
            body.skip(1)?;
        }
        let len = body.uint(1_usize << (flags & 3))?;
        let name = body.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        let shown = escape::bytes(name);
        match kind {
            0 => {
                let to = body.offset()?.ok_or(Stop::broken(at, "a link to nowhere"))?;
                self.reach(to)?;
            }
            1 => {
                let len = usize::from(body.u16()?);
                body.take(len)?;
            }
            64 => {
                let len = usize::from(body.u16()?);
                let to = escape::bytes(body.take(len)?.get(1..).unwrap_or(&[]));
                let what = format!("link `{shown}` leads into the file `{to}`");
                scope.report_known(&rules::HDF5_EXTERNAL, at, what, ADVISORIES);
            }
            _ => {
                let what = format!("link `{shown}` is of a kind that a library must resolve");
                scope.report(&rules::HDF5_EXTERNAL, at, what);
            }
        }
        Ok(())
    }

    fn layout(&self, scope: &mut Scope<'_>, body: &mut Fields<'_>) -> Result<(), Stop> {
        let at = body.at();
        let version = body.u8()?;
        let class = match version {
            1 | 2 => {
                body.skip(1)?;
                body.u8()?
            }
            3..=5 => body.u8()?,
            _ => return Err(Stop::broken(at, "a layout of an unknown version")),
        };
        match class {
            0 | 2 => {}
            1 if 3 <= version => {
                let start = body.offset()?;
                let len = body.length()?;
                if let Some(start) = start {
                    self.file.view.slice(start, len)?;
                }
            }
            1 => {}
            3 => {
                let what = "a virtual dataset is made of other files";
                scope.report_known(&rules::HDF5_EXTERNAL, at, what.to_owned(), ADVISORIES);
            }
            _ => return Err(Stop::broken(at, "a layout of an unknown class")),
        }
        Ok(())
    }
}

/// Filters that data pass: those beyond the known ones are libraries that are loaded.
fn filters(scope: &mut Scope<'_>, body: &mut Fields<'_>) -> Result<(), Stop> {
    let at = body.at();
    let version = body.u8()?;
    let n = body.u8()?;
    match version {
        1 => body.skip(6)?,
        2 => {}
        _ => return Err(Stop::broken(at, "a list of filters of an unknown version")),
    }
    for _ in 0..n {
        let id = body.u16()?;
        let name_len = if version == 1 || 256 <= id { usize::from(body.u16()?) } else { 0 };
        body.skip(2)?;
        let n_values = usize::from(body.u16()?);
        let name = body.take(name_len)?;
        let odd = version == 1 && n_values & 1 == 1;
        body.skip(n_values.saturating_add(usize::from(odd)).saturating_mul(4))?;
        if !FILTERS.contains(&id) {
            let what = format!("filter {id} `{}` is a library that is loaded", escape::bytes(name));
            scope.report(&rules::FILE_IDENTIFIED, at, what);
        }
    }
    Ok(())
}
