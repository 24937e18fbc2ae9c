//! What a format's reader is given: where it is, what it may spend, where it reports.

use bartizan_core::Rule;

use crate::allow::Allow;
use crate::budget::Meter;
use crate::escape;
use crate::sighting::{Sighting, Stop};
use crate::verdict::Verdict;

/// Files beside the one that is scanned: what it may refer to.
pub trait Siblings {
    /// Size in bytes of the file at `relative` (parts joined by `/`, none of them `..`), if the
    /// artefact has it.
    fn size(&self, relative: &str) -> Option<u64>;
}

/// No files beside it.
pub struct Alone;

impl Siblings for Alone {
    fn size(&self, _relative: &str) -> Option<u64> {
        None
    }
}

/// A storage that a torch pickle refers to by persistent id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Storage {
    /// Name of the member or key that holds it.
    pub(crate) key: Box<str>,
    /// Bytes it must have.
    pub(crate) bytes: u64,
}

/// Who would load the pickle, so far as its container tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Loader {
    /// `pickle.load`, `joblib.load` or anybody else's.
    #[default]
    Any,
    /// `torch.load`: persistent ids name storages.
    Torch,
    /// `torch.jit.load`: persistent ids name storages, and classes are those of the archive's own
    /// code, which is judged beside them.
    TorchScript,
}

/// State of one scan, handed down through all readers.
pub(crate) struct Scope<'e> {
    pub(crate) allow: &'e Allow,
    pub(crate) meter: &'e Meter<'e>,
    pub(crate) siblings: &'e dyn Siblings,
    pub(crate) loader: Loader,
    /// Storages that pickles under [`Loader::Torch`] named.
    pub(crate) storages: Vec<Storage>,
    /// Formats that were recognised, outermost first.
    pub(crate) formats: Vec<&'static str>,
    /// Name of the file that is scanned, escaped.
    pub(crate) file: Box<str>,
    path: Vec<Box<str>>,
    sightings: Vec<Sighting>,
    n_more: u64,
    verdict: Verdict,
}

impl<'e> Scope<'e> {
    pub(crate) fn new(allow: &'e Allow, meter: &'e Meter<'e>, siblings: &'e dyn Siblings) -> Self {
        Self {
            allow,
            meter,
            siblings,
            loader: Loader::Any,
            storages: Vec::new(),
            formats: Vec::new(),
            file: "".into(),
            path: Vec::new(),
            sightings: Vec::new(),
            n_more: 0,
            verdict: Verdict::Cleared,
        }
    }

    /// Says what was found at `offset` of the present member. `what` is escaped by whoever puts
    /// foreign text into it.
    pub(crate) fn report(&mut self, rule: &'static Rule, offset: u64, what: impl Into<String>) {
        self.report_known(rule, offset, what.into(), &[]);
    }

    /// The same, with the advisories that describe it.
    pub(crate) fn report_known(
        &mut self,
        rule: &'static Rule,
        offset: u64,
        what: String,
        advisories: &'static [&'static str],
    ) {
        self.verdict = self.verdict.and(Verdict::of(rule.severity));
        let member = self.member();
        let same = |seen: &&mut Sighting| {
            seen.rule == rule && seen.member == member && *seen.what == *what
        };
        if let Some(seen) = self.sightings.iter_mut().find(same) {
            seen.count = seen.count.saturating_add(1);
        } else if self.sightings.len() < self.meter.budget().sightings_max {
            let (what, count, suppressed) = (what.into(), 1, None);
            let seen = Sighting { rule, member, offset, what, advisories, count, suppressed };
            self.sightings.push(seen);
        } else {
            self.n_more = self.n_more.saturating_add(1);
        }
    }

    /// Says why reading stopped.
    pub(crate) fn stopped(&mut self, stop: &Stop) {
        use crate::rules;
        match stop {
            Stop::Broken { offset, what } => self.report(&rules::FILE_BROKEN, *offset, *what),
            Stop::Budget(name) => {
                self.report(&rules::FILE_BUDGET, 0, format!("the budget of {name} ran out"));
            }
            Stop::Encrypted => self.report(&rules::FILE_ENCRYPTED, 0, "a part is encrypted"),
            Stop::Unjudged(what) => self.report(&rules::FILE_IDENTIFIED, 0, *what),
            Stop::Io(kind) => self.report(&rules::FILE_UNREADABLE, 0, format!("{kind}")),
        }
    }

    /// Runs `inside` as the member `name`, one container deeper. What stopped it is reported
    /// there; only a budget of the whole file stops its neighbours too.
    pub(crate) fn within(
        &mut self,
        name: &str,
        inside: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.meter.member()?;
        if u64::from(self.meter.budget().depth_max) <= self.path.len() as u64 {
            return Err(Stop::Budget("depth"));
        }
        self.path.push(escape::text(name).into());
        let loader = self.loader;
        let done = inside(self);
        if let Err(stop) = &done {
            // Said here, where the path still tells which member it was.
            self.stopped(stop);
        }
        self.loader = loader;
        self.path.pop();
        Ok(())
    }

    /// Path of the present member, escaped.
    pub(crate) fn member(&self) -> Box<str> {
        self.path.join("!/").into()
    }

    /// Name of the innermost member, at the top of the file, escaped.
    pub(crate) fn name(&self) -> &str {
        self.path.last().unwrap_or(&self.file)
    }

    /// How many containers deep.
    pub(crate) fn depth(&self) -> usize {
        self.path.len()
    }

    /// The verdict, what was found, and how much more.
    pub(crate) fn finish(self) -> (Verdict, Vec<Sighting>, u64) {
        (self.verdict, self.sightings, self.n_more)
    }
}
