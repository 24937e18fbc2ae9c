//! Keeps the keys of token issuers fresh: looks at each issuer when it starts and once an hour,
//! and once more when a token names a key that nobody has seen.
//!
//! Invariants
//! - I1: an issuer is looked at by one request at a time, and at most once in
//!   [`LOOK_PAUSE`], whatever tokens come: nobody can drive an issuer by inventing key ids;
//! - I2: a key id that a look has shown to be nobody's is no reason for another look for
//!   [`BAD_ID_MAX`], and at most [`BAD_IDS_MAX`] of them are remembered;
//! - I3: where an issuer cannot be reached, or publishes what is no good, the keys that there are
//!   stay: how long they are good is for whoever verifies to say;
//! - I4: a discovery document counts only if it says that it is of the very issuer that is
//!   configured (OpenID Connect Discovery 1.0, 4.3).

mod fetch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_access::{Algorithm, AskAgain, JwkSet};
use bartizan_core::{Clock, Digest, EnvName};
use tokio::sync::{Notify, watch};

pub use fetch::{FetchError, KeysAt, Source};

/// Least time between two looks at one issuer.
pub const LOOK_PAUSE: Duration = Duration::from_secs(10);
/// Time between two looks that nobody asked for.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);
/// The same after a look that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long a key id that is nobody's is remembered as such.
pub const BAD_ID_MAX: Duration = Duration::from_secs(300);
/// Most such key ids of one issuer.
pub const BAD_IDS_MAX: usize = 1_024;
/// Longest that a request waits for a look.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What came of a look.
#[derive(Debug)]
pub enum KeyNews {
    /// The issuer has other keys than before.
    Changed {
        /// Which issuer.
        issuer: EnvName,
        /// Its keys.
        keys: Arc<JwkSet>,
    },
    /// It has the same.
    Same {
        /// Which issuer.
        issuer: EnvName,
    },
    /// It could not be reached, or what it publishes is no good.
    Failed {
        /// Which issuer.
        issuer: EnvName,
        /// Why.
        error: FetchError,
    },
}

/// Told about every look, from the keeper's own thread; it may block.
pub type Listener = Arc<dyn Fn(KeyNews) + Send + Sync>;

/// Keeps keys fresh; see the module invariants. Cheap to clone.
#[derive(Clone)]
pub struct KeyKeeper {
    slots: Arc<BTreeMap<EnvName, Arc<Slot>>>,
    clock: Arc<dyn Clock>,
}

struct Slot {
    source: Source,
    algorithms: BTreeSet<Algorithm>,
    state: Mutex<State>,
    wanted: Notify,
    /// Looks that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    keys: Option<Arc<JwkSet>>,
    begun_ns: Option<u64>,
    is_looking: bool,
    bad_ids: VecDeque<(Digest, u64)>,
}

impl State {
    /// Notes that a look begins at `now_ns`, where one may; see I1.
    fn may_begin(&mut self, now_ns: u64) -> bool {
        let pause_ns = nanos(LOOK_PAUSE);
        let is_early = self.begun_ns.is_some_and(|begun| now_ns < begun.saturating_add(pause_ns));
        if is_early || self.is_looking {
            return false;
        }
        self.begun_ns = Some(now_ns);
        self.is_looking = true;
        true
    }

    /// Whether `id` was shown to be nobody's lately; see I2.
    fn is_bad(&mut self, id: &Digest, now_ns: u64) -> bool {
        while self.bad_ids.front().is_some_and(|(_, until)| *until <= now_ns) {
            self.bad_ids.pop_front();
        }
        self.bad_ids.iter().any(|(bad, _)| bad == id)
    }

    fn note_bad(&mut self, id: Digest, now_ns: u64) {
        if BAD_IDS_MAX <= self.bad_ids.len() {
            self.bad_ids.pop_front();
        }
        self.bad_ids.push_back((id, now_ns.saturating_add(nanos(BAD_ID_MAX))));
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Slot {
    /// A lock whose holder panicked still guards a whole state: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyKeeper {
    /// A keeper of these issuers' keys, by their names, with the algorithms that each may use.
    pub fn new(
        issuers: impl IntoIterator<Item = (EnvName, Source, BTreeSet<Algorithm>)>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let slots = issuers.into_iter().map(|(name, source, algorithms)| {
            let (ended, _) = watch::channel(0);
            let (state, wanted) = (Mutex::default(), Notify::new());
            (name, Arc::new(Slot { source, algorithms, state, wanted, ended }))
        });
        Self { slots: Arc::new(slots.collect()), clock }
    }

    /// Looks after the keys for as long as it is polled, and tells `listener` of every look.
    pub async fn run(&self, listener: Listener) {
        let mut tasks = tokio::task::JoinSet::new();
        for (name, slot) in self.slots.iter() {
            let (keeper, name) = (self.clone(), name.clone());
            let (slot, listener) = (slot.clone(), listener.clone());
            tasks.spawn(async move { keeper.keep(&name, &slot, &*listener).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn keep(&self, name: &EnvName, slot: &Slot, listener: &(dyn Fn(KeyNews) + Send + Sync)) {
        let mut pause = Duration::ZERO;
        let mut round = 0_u64;
        loop {
            // A look that somebody asked for has begun; one that is due begins here.
            let asked = tokio::time::timeout(pause, slot.wanted.notified()).await.is_ok();
            let now_ns = self.clock.now().mono_ns;
            if !asked && !slot.state().may_begin(now_ns) {
                // Somebody asked this very moment: the wake is on its way.
                pause = LOOK_PAUSE;
                continue;
            }
            let (news, is_good) = self.look(name, slot).await;
            // Who comes now waits for this look or finds its keys: told first, over after.
            listener(news);
            slot.state().is_looking = false;
            round = round.saturating_add(1);
            slot.ended.send_replace(round);
            pause = if is_good { LOOK_INTERVAL } else { RETRY_INTERVAL };
        }
    }

    async fn look(&self, name: &EnvName, slot: &Slot) -> (KeyNews, bool) {
        let issuer = name.clone();
        let fetched = slot.source.fetch().await;
        let now_s = self.clock.now().unix_s();
        let read = fetched.and_then(|bytes| {
            JwkSet::parse(&bytes, &slot.algorithms, now_s).map_err(FetchError::Keys)
        });
        match read {
            Err(error) => (KeyNews::Failed { issuer, error }, false),
            Ok(keys) => {
                let mut state = slot.state();
                if let Some(known) = &state.keys
                    && known.digest() == keys.digest()
                {
                    known.see(now_s);
                    return (KeyNews::Same { issuer }, true);
                }
                let keys = Arc::new(keys);
                state.keys = Some(keys.clone());
                state.bad_ids.clear();
                (KeyNews::Changed { issuer, keys }, true)
            }
        }
    }

    /// Has the issuer looked at once more, unless it was a moment ago, and waits for that look.
    /// Gives whether there was one, so that the token is worth another try.
    pub fn look_again<'a>(
        &'a self,
        ask: &'a AskAgain,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let Some(slot) = self.slots.get(&ask.issuer) else { return false };
            let mut ended = slot.ended.subscribe();
            {
                let now_ns = self.clock.now().mono_ns;
                let mut state = slot.state();
                if state.is_bad(&ask.key_id, now_ns) {
                    return false;
                }
                let begins = state.may_begin(now_ns);
                if !begins && !state.is_looking {
                    return false;
                }
                if begins {
                    slot.wanted.notify_one();
                }
            }
            tokio::time::timeout(WAIT_MAX, ended.changed()).await.is_ok_and(|seen| seen.is_ok())
        })
    }

    /// Notes that a look did not bring the key that `ask` was for; see I2.
    pub fn note_absent(&self, ask: &AskAgain) {
        if let Some(slot) = self.slots.get(&ask.issuer) {
            let now_ns = self.clock.now().mono_ns;
            slot.state().note_bad(ask.key_id, now_ns);
        }
    }
}

impl std::fmt::Debug for KeyKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyKeeper({} issuers)", self.slots.len())
    }
}

#[cfg(test)]
mod tests;
