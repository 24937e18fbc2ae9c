//! The time stamps that are kept beside the published log.
//!
//! Each must be of the checkpoint that lies beside it, by a signer whom a configured root vouches
//! for (TS1), and that checkpoint's root must be the log's. Without roots the signer stays
//! unchecked, and that is counted (V2).

use std::io;

use bartizan_core::disk::Disk;

use super::{Scope, StampsReport};
use crate::stamp::{self, Authorities, Kept, STAMPS_DIR};
use crate::tlog::{Checkpoint, Hash};

/// What the stamps of a store say.
#[derive(Default)]
pub(super) struct Found {
    pub(super) report: StampsReport,
    /// Roots that are stamped, to be compared with the log: records, who says so, root.
    pub(super) roots: Vec<(u64, String, Hash)>,
    /// The first that is wrong: its file, and how.
    pub(super) fault: Option<(String, String)>,
}

/// Looks at every stamp on `disk`. `origin` names the newest checkpoint's log, empty where there
/// is none.
///
/// # Errors
/// What the disk says.
pub(super) fn look(
    disk: &dyn Disk,
    authorities: Option<&Authorities>,
    origin: &str,
    scope: Scope,
) -> io::Result<Found> {
    let mut found = Found::default();
    if scope == Scope::Closed {
        let names = disk.list(STAMPS_DIR)?;
        if let Some(name) = names.iter().find(|name| !stamp::is_name(name)) {
            let what = "is no time stamp, and no checkpoint that one is of".to_owned();
            found.fault = Some((format!("{STAMPS_DIR}/{name}"), what));
        }
    }
    for size in stamp::kept_sizes(disk)? {
        let outcome = match stamp::kept(disk, size) {
            Ok(Some(kept)) => found.one(&kept, authorities, origin),
            Ok(None) => Err("what it stamps, the checkpoint beside it, is missing".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        if let Err(what) = outcome {
            found.fault.get_or_insert((format!("{STAMPS_DIR}/{size}.tsr"), what));
        }
    }
    Ok(found)
}

impl Found {
    fn one(
        &mut self,
        kept: &Kept,
        authorities: Option<&Authorities>,
        origin: &str,
    ) -> Result<(), String> {
        let text = stamp::stamped_text(&kept.note).ok_or("what it stamps is no signed note")?;
        let checkpoint = Checkpoint::parse(text).map_err(|error| error.to_string())?;
        if checkpoint.size != kept.size {
            let (size, named) = (checkpoint.size, kept.size);
            return Err(format!("it stamps a checkpoint of {size} records, its name says {named}"));
        }
        let answer = kept.answer.as_slice();
        match authorities {
            Some(authorities) => {
                let stamp = authorities.check(answer, text.as_bytes(), None);
                let stamp = stamp.map_err(|error| error.to_string())?;
                self.report.n_good += 1;
                self.report.newest = Some((kept.size, stamp.time_ns));
            }
            None => {
                stamp::is_about(answer, text.as_bytes()).map_err(|error| error.to_string())?;
                self.report.n_unchecked += 1;
            }
        }
        if origin.is_empty() || checkpoint.origin == origin {
            let source = format!("the time-stamped checkpoint of {} records", kept.size);
            self.roots.push((kept.size, source, checkpoint.root));
        } else {
            self.report.n_ended += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bartizan_testkit::SimDisk;

    use super::*;

    const TEXT: &str = "example.com/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    const EC: &[u8] = include_bytes!("../stamp/fixtures/ec.tsr");
    const ROOT_EC: &[u8] = include_bytes!("../stamp/fixtures/root-ec.pem");
    const ROOT_RSA: &[u8] = include_bytes!("../stamp/fixtures/root-rsa.pem");

    fn note(text: &str) -> String {
        format!("{text}\n\u{2014} example.com/log AAAAAAAAAAAA\n")
    }

    fn looked(disk: &SimDisk, root: Option<&[u8]>, origin: &str) -> Found {
        let authorities = root.map(|pem| Authorities::from_pem(pem).unwrap());
        look(disk, authorities.as_ref(), origin, Scope::Closed).unwrap()
    }

    fn why(disk: &SimDisk, root: Option<&[u8]>) -> (String, String) {
        looked(disk, root, "").fault.unwrap()
    }

    /// V2: with roots a stamp is checked, without it is said not to be; its root is compared.
    #[test]
    fn a_kept_stamp_is_checked_or_said_not_to_be() {
        let disk = SimDisk::new(1);
        assert_eq!(looked(&disk, Some(ROOT_EC), "").report, StampsReport::default());
        stamp::keep(&disk, 7, EC, &note(TEXT)).unwrap();
        let found = looked(&disk, Some(ROOT_EC), "example.com/log");
        assert!(found.fault.is_none(), "{:?}", found.fault);
        assert_eq!((found.report.n_good, found.report.n_unchecked), (1, 0));
        assert_eq!(found.report.newest.map(|(size, _)| size), Some(7));
        let (size, source, root) = found.roots.first().unwrap();
        assert_eq!((*size, *root), (7, [0; 32]));
        assert!(source.contains("time-stamped"));

        let found = looked(&disk, None, "example.com/log");
        assert!(found.fault.is_none());
        assert_eq!((found.report.n_good, found.report.n_unchecked), (0, 1));
        assert_eq!(found.roots.len(), 1);

        let found = looked(&disk, Some(ROOT_EC), "example.com/log/e2");
        assert_eq!((found.report.n_good, found.report.n_ended), (1, 1));
        assert!(found.roots.is_empty() && found.fault.is_none());
    }

    /// Each fault by the file's name, with roots and, where it can be told, without.
    #[test]
    fn a_stamp_that_is_wrong_is_named() {
        let disk = SimDisk::new(1);
        stamp::keep(&disk, 7, EC, &note(TEXT)).unwrap();
        let (name, what) = why(&disk, Some(ROOT_RSA));
        assert_eq!(name, "tlog/stamps/7.tsr");
        assert!(what.contains("not vouched for"), "{what}");

        let other = TEXT.replace("AAA=", "AAE=");
        let changed = Checkpoint::parse(&other).is_ok().then_some(other);
        let other = changed.unwrap_or_else(|| TEXT.replace("com/log", "com/lag"));
        stamp::keep(&disk, 7, EC, &note(&other)).unwrap();
        for root in [Some(ROOT_EC), None] {
            assert!(why(&disk, root).1.contains("another text"), "{:?}", why(&disk, root));
        }

        let disk = SimDisk::new(1);
        stamp::keep(&disk, 8, EC, &note(TEXT)).unwrap();
        assert!(why(&disk, None).1.contains("of 7 records, its name says 8"));
        disk.remove("tlog/stamps/8.checkpoint").unwrap();
        assert!(why(&disk, None).1.contains("is missing"));
        disk.remove("tlog/stamps/8.tsr").unwrap();
        disk.open("tlog/stamps/08.tsr", true).unwrap();
        assert_eq!(why(&disk, None).0, "tlog/stamps/08.tsr");
    }
}
