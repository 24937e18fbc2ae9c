//! The scanner in this very process: for commands, which hold no keys and end when it is done.

use std::path::Path;

use bartizan_outbound::OsClock;
use bartizan_scan::{Allow, Alone, Budget, Hash, Options};

use super::files::{Beside, Opened};
use super::{Judged, ScanError, Scanner};

/// Scans where it is called.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InProcess;

impl Scanner for InProcess {
    fn scan(&self, name: &str, bytes: &[u8]) -> Result<Judged, ScanError> {
        super::published::checked()?;
        let (allow, clock) = (Allow::new(), OsClock::new());
        let options = Options {
            allow: &allow,
            budget: Budget::default(),
            clock: &clock,
            siblings: &Alone,
            hash: Hash::Whole,
        };
        Ok(Judged::of(&bartizan_scan::scan(name, &bytes, &options)))
    }

    fn confinement(&self) -> String {
        "in the process that asks".to_owned()
    }
}

/// What loading the file at `path` elsewhere would do; it is not loaded here. Absent where it
/// cannot be opened. Tensor data is passed over unread, so there is no digest.
pub(crate) fn judge_file(path: &Path) -> Option<Judged> {
    let opened = Opened::open(path).ok()?;
    let (allow, clock) = (Allow::new(), OsClock::new());
    let siblings = Beside(path.parent()?.to_path_buf());
    let options = Options {
        allow: &allow,
        budget: Budget::default(),
        clock: &clock,
        siblings: &siblings,
        hash: Hash::Skip,
    };
    let name = path.file_name()?.to_string_lossy();
    let mut report = bartizan_scan::scan(&name, &opened, &options);
    if !opened.is_unchanged() {
        report.changed();
    }
    Some(Judged::of(&report))
}
