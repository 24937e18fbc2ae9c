//! Files that the network gate reads.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bartizan_deploy::read::{FILE_BYTES_MAX, Format};

use crate::cmd::Failure;
use crate::files;

/// Most files of a folder that belong together.
const FILES_MAX: usize = 1_000;

/// A file.
#[derive(Debug)]
pub(super) struct Input {
    /// Its name, for places; `-` is standard input.
    pub(super) name: String,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// How it is written.
    pub(super) format: Format,
}

impl Input {
    /// Reads a file, or standard input for `-`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let limit = FILE_BYTES_MAX as u64;
        let name = path.display().to_string();
        let bytes = if name == "-" {
            let mut bytes = Vec::new();
            // One byte over the limit is enough for the reader to refuse it.
            std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)?;
            bytes
        } else {
            files::read_bounded(path, limit).map_err(Failure::unknown)?
        };
        let of_text = || std::str::from_utf8(&bytes).map_or(Format::Yaml, Format::of_text);
        let format = Format::of_name(&name).unwrap_or_else(of_text);
        Ok(Self { name, bytes, format })
    }

    /// Reads each of `paths`.
    pub(super) fn all(paths: &[PathBuf]) -> Result<Vec<Self>, Failure> {
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Reads a file, or all plans, exports and manifests in a folder, by name. A kustomization
    /// only lists other files and is left out.
    pub(super) fn read_all(path: &Path) -> Result<Vec<Self>, Failure> {
        if !path.is_dir() {
            return Ok(vec![Self::read(path)?]);
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?.path();
            let is_list = entry.file_stem().is_some_and(|stem| stem == "kustomization");
            let is_known = entry.to_str().and_then(Format::of_name).is_some();
            if is_known && !is_list {
                names.push(entry);
            }
            if FILES_MAX < names.len() {
                let what = format!("`{}` has more than {FILES_MAX} files", path.display());
                return Err(Failure::unknown(what));
            }
        }
        names.sort_unstable();
        if names.is_empty() {
            let what = format!("`{}` has no .toml, .yaml or .json file", path.display());
            return Err(Failure::unknown(what));
        }
        Self::all(&names)
    }

    /// Its text.
    pub(super) fn text(&self) -> Result<String, Failure> {
        String::from_utf8(self.bytes.clone()).map_err(Failure::unknown)
    }
}
