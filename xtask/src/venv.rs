//! Virtual environments of Python, made when they are first needed, outside the checkout.
//!
//! Invariants
//! - V1: an environment that is returned was made whole from exactly the requirements given: its
//!   folder is named by their hash, and a mark is written last.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::{command, report::say};

/// Names the folder for what is slow to make: environments of Python.
pub const CACHE_VAR: &str = "BARTIZAN_CACHE";
/// Written into an environment when it is whole.
const MARK: &str = "bartizan-complete";

/// The cache folder: `$BARTIZAN_CACHE`, else `~/.cache/bartizan`.
///
/// # Errors
/// Where neither it nor `HOME` is set, or it cannot be made.
pub fn cache() -> io::Result<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache/bartizan"));
    let path = env::var_os(CACHE_VAR).map(PathBuf::from).or_else(home);
    let path = path.ok_or_else(|| io::Error::other(format!("set {CACHE_VAR} or HOME")))?;
    fs::create_dir_all(&path)?;
    path.canonicalize()
}

/// The Python of an environment with the packages of a requirements file; see V1.
///
/// # Errors
/// Where there is no Python, or a package cannot be had.
pub fn python(name: &str, requirements: &Path) -> io::Result<PathBuf> {
    python_in(&cache()?, name, requirements, &mut install)
}

fn python_in(
    cache: &Path,
    name: &str,
    requirements: &Path,
    install: &mut dyn FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let wanted = fs::read(requirements).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot read `{}`: {error}", requirements.display()))
    })?;
    let hash = Sha256::digest(&wanted);
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = cache.join(format!("venv-{name}-{hash}"));
    let lock = File::create(cache.join(format!("venv-{name}.lock")))?;
    lock.lock()?;
    let (mark, python) = (folder.join(MARK), folder.join("bin/python"));
    if !mark.exists() || !python.exists() {
        say(&format!("making a Python environment in {}", folder.display()));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        install(&folder, requirements)?;
        fs::write(mark, b"")?;
    }
    Ok(python)
}

fn install(folder: &Path, requirements: &Path) -> io::Result<()> {
    let made = command::run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    if !made {
        return Err(io::Error::other("python3 -m venv failed (Debian: install python3-venv)"));
    }
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--requirement"]).arg(requirements);
    match command::run(&mut pip)? {
        true => Ok(()),
        false => {
            let what = requirements.display();
            Err(io::Error::other(format!("the packages of `{what}` could not be installed")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V1: made once, made again after a failure and for other requirements.
    #[test]
    fn an_environment_is_whole_and_made_once() {
        let cache = env::temp_dir().join(format!("xtask-venv-{}", std::process::id()));
        fs::create_dir_all(&cache).unwrap();
        let wanted = cache.join("requirements.txt");
        fs::write(&wanted, "a==1\n").unwrap();
        let mut n_made = 0;
        let mut make = |fails: bool| {
            let result = python_in(&cache, "t", &wanted, &mut |folder, _| {
                n_made += 1;
                fs::create_dir_all(folder.join("bin"))?;
                fs::write(folder.join("bin/python"), b"")?;
                if fails { Err(io::Error::other("no network")) } else { Ok(()) }
            });
            (result.ok(), n_made)
        };
        assert_eq!(make(true), (None, 1));
        let (first, n) = make(false);
        assert_eq!(n, 2);
        assert_eq!(make(false), (first.clone(), 2));
        fs::write(&wanted, "a==2\n").unwrap();
        let (second, n) = make(false);
        assert_eq!(n, 3);
        assert_ne!(first, second);
        fs::remove_dir_all(&cache).unwrap();
    }
}
