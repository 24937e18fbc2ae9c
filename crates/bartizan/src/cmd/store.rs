//! `bartizan store upgrade`: brings a store of the release before to this release's formats, and
//! back.

use std::io;
use std::sync::Arc;

use bartizan_core::Entropy;
use bartizan_ledger::{
    Act as RecordedAct, ActKind, FileDisk, KeyWrap, KeysFormat, LockError, downgrade_keys,
    keys_format, upgrade_keys,
};
use bartizan_outbound::OsEntropy;

use super::{Failure, Outcome, Place, world};
use crate::answer::Answer;
use crate::environment::Environment;
use crate::files::failed;
use crate::kek;
use crate::owner::Owner;
use crate::owner::store::Act;

/// Arguments of `bartizan store`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Bring the store's formats up to this release's; stop the server first
    Upgrade {
        /// Only say what would be done: exit 0 where nothing is, 1 where something is
        #[arg(long)]
        check: bool,
        /// The way back to release 0.1: only while no subject has a key
        #[arg(long, conflicts_with = "check")]
        back: bool,
    },
}

/// Runs `bartizan store`.
///
/// # Errors
/// What cannot be read or written.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let Args::Upgrade { check, back } = args;
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let path = environment.store_dir();
    let store = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    let lock = store.lock().map_err(|error| match error {
        error @ LockError::Held { .. } => {
            Failure::unknown(format!("{error}: stop it first, an upgrade needs the store alone"))
        }
        error @ LockError::Io(_) => Failure::unknown(error),
    })?;
    let path = environment.keys_dir();
    let keys = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    let format = keys_format(&keys).map_err(Failure::unknown)?;
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let wrap = || kek::of(&environment, entropy.clone()).map_err(Failure::unknown);
    match (format, *check, *back) {
        (KeysFormat::Newer(found), ..) => Err(Failure::unknown(format!(
            "the key store has format {found}, of a later release; run that release"
        ))),
        (KeysFormat::Old, true, _) => {
            writeln!(out, "key store: format 1, would be 2 (wrapped under a key-encryption key)")?;
            Ok(Answer::No)
        }
        (KeysFormat::Old, false, false) => {
            let n_lost = upgrade_keys(&keys, &*wrap()?, &*entropy).map_err(Failure::unknown)?;
            drop(lock);
            record(place, "key store: format 1 to 2")?;
            writeln!(out, "key store: format 1 to 2")?;
            say_upgraded(&environment, n_lost);
            Ok(Answer::Yes)
        }
        (KeysFormat::Current, _, true) => {
            // On record while this release can still write it.
            drop(lock);
            record(place, "key store: back to format 1")?;
            back_to_old(&keys, &*wrap()?, out)
        }
        (KeysFormat::Absent | KeysFormat::Current, ..) | (KeysFormat::Old, _, true) => {
            writeln!(out, "nothing to do")?;
            Ok(Answer::Yes)
        }
    }
}

fn say_upgraded(environment: &Environment, n_lost: usize) {
    if 0 < n_lost {
        eprintln!("Warning: {n_lost} slots of the old key store could not be read: lost before.");
    }
    let folder = kek::folder(environment);
    eprintln!("Its key-encryption key is in {}: keep a copy apart.", folder.display());
    eprintln!("The old file held keys in the clear and was overwritten in place; copies of it,");
    eprintln!("snapshots and old backups of keys/ still do: destroy them.");
}

fn back_to_old(keys: &FileDisk, wrap: &dyn KeyWrap, out: &mut dyn io::Write) -> Outcome {
    downgrade_keys(keys, wrap).map_err(Failure::no)?;
    writeln!(out, "key store: format 2 to 1")?;
    Ok(Answer::Yes)
}

fn record(place: &Place, what: &'static str) -> Result<(), Failure> {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let owner = Owner::take(environment, world()).map_err(Failure::unknown)?;
    let caller = owner.local_principal().map_err(Failure::unknown)?;
    let mut act = RecordedAct::new(ActKind::StoreUpgraded);
    act.resource = Some(what.into());
    owner.record(&caller, &Act::Kept(Box::new(act))).map_err(Failure::unknown)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use bartizan_ledger::wal::SegmentHeader;
    use bartizan_ledger::{Scope, verify};

    use super::*;
    use crate::testing::TempDir;

    const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/store-0.1");

    /// The fixture as release 0.1 left it.
    fn fixture(dir: &TempDir) -> PathBuf {
        let root = dir.path().join("env");
        let files = ["bartizan.toml", "keys/sealing.keys", "keys/keyring.json", "keys/keyring.mac"];
        let wal = "store/wal/0000000000000000.wal";
        for folder in ["", "keys", "store", "store/wal", "models"] {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o700)).unwrap();
        }
        for name in files.iter().chain([&wal]) {
            let mut bytes = fs::read(Path::new(FIXTURE).join(name)).unwrap();
            if *name == wal {
                let header = SegmentHeader::parse(&bytes[..4_096]).unwrap();
                bytes.resize(header.segment_bytes as usize, 0);
            }
            crate::files::replace(&root.join(name), &bytes).unwrap();
        }
        root
    }

    fn n_opened(root: &Path) -> u64 {
        let environment = Environment::open(root).unwrap();
        let sealer = kek::read_sealer(&environment).unwrap();
        let disk = FileDisk::open(root.join("store")).unwrap();
        let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
        let report = verify(&disk, Some(&*sealer), Scope::Live, &mut go_on).unwrap();
        assert!(report.damage.is_none(), "{:?}", report.damage);
        report.n_opened
    }

    /// A store of release 0.1: read as it is, refused to be written, upgraded, taken back, and
    /// upgraded again; its payloads open all the way.
    #[test]
    fn a_store_of_release_0_1_is_read_upgraded_and_brought_back() {
        let dir = TempDir::new();
        let root = fixture(&dir);
        let place = Place { environment: root.clone() };
        let go = |check, back| {
            let mut out = Vec::new();
            let answer = run(&Args::Upgrade { check, back }, &place, &mut out).unwrap();
            (answer, String::from_utf8(out).unwrap())
        };
        assert_eq!(n_opened(&root), 3);
        let take = || Owner::take(Environment::open(&root).unwrap(), world());
        let Err(error) = take() else { panic!("a server would write an old store") };
        let error = crate::log::Chain(&error).to_string();
        assert!(error.contains("bartizan store upgrade"), "{error}");
        assert_eq!(go(true, false).0, Answer::No);
        assert_eq!(go(false, false), (Answer::Yes, "key store: format 1 to 2\n".to_owned()));
        assert_eq!(go(true, false), (Answer::Yes, "nothing to do\n".to_owned()));
        assert_eq!(n_opened(&root), 3);
        assert_eq!(go(false, true), (Answer::Yes, "key store: format 2 to 1\n".to_owned()));
        assert_eq!(n_opened(&root), 3);
        assert_eq!(go(false, false).0, Answer::Yes);
        drop(take().unwrap());
        assert_eq!(n_opened(&root), 3);
    }
}
