//! What all connections of a server share.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bartizan_access::{AskAgain, FailureThrottle};
use bartizan_core::{Clock, Disk, Entropy, Stamp};
use bartizan_decision::{Folder, Snapshot};
use bartizan_ledger::Appender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admin::Admin;
use crate::assurance::{AckLevel, Assurance};
use crate::caller::Freshness;
use crate::log_reading::LogReading;
use crate::metrics::Metrics;
use crate::settings::HttpLimits;

/// What may change while a server runs, replaced whole: a connection takes the certificate, a
/// request the snapshot, of one moment.
pub struct Live {
    /// Keys, contracts and models.
    pub snapshot: Arc<Snapshot>,
    /// Certificates; without them nothing but loopback is served.
    pub tls: Option<Arc<Tls>>,
}

/// What listeners speak TLS with.
pub struct Tls {
    /// The server's own certificate, and whether clients are asked for theirs.
    pub server: Arc<rustls::ServerConfig>,
    /// What client certificates are held against, where any are taken: the very rules that
    /// `server` has, for connections that are open already.
    pub clients: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
}

/// What a look at an issuer's keys is waited for with; whether there was one.
pub type Look<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// The keys of token issuers, which the roof keeps fresh.
pub trait IssuerKeys: Send + Sync {
    /// Looks once more at the keys of an issuer, within the limits of looking. What it finds is
    /// live when this ends.
    fn look_again<'a>(&'a self, ask: &'a AskAgain) -> Look<'a>;

    /// Notes that a look did not bring the key.
    fn note_absent(&self, ask: &AskAgain);
}

/// What a server is given by the roof.
pub struct Services {
    /// What requests are judged by; the roof replaces it.
    pub live: Arc<ArcSwap<Live>>,
    /// The way into the ledger.
    pub appender: Appender,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The owner of the store.
    pub admin: Arc<dyn Admin>,
    /// The store, where the log may be read.
    pub published: Option<Arc<dyn Disk>>,
    /// What answers wait for beyond their record; nothing where absent.
    pub assurance: Option<Assurance>,
    /// Who keeps issuers' keys fresh, where there are issuers.
    pub issuer_keys: Option<Arc<dyn IssuerKeys>>,
    /// When the shared access state was last seen, where there is one.
    pub freshness: Option<Arc<Freshness>>,
}

/// Requests that were turned away because nothing could be recorded, until that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) count: u64,
    pub(crate) first: Stamp,
    pub(crate) last: Stamp,
}

pub(crate) struct Shared {
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) appender: Appender,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) log_reading: Option<Arc<LogReading>>,
    pub(crate) assurance: Option<Assurance>,
    pub(crate) issuer_keys: Option<Arc<dyn IssuerKeys>>,
    pub(crate) freshness: Option<Arc<Freshness>>,
    pub(crate) limits: HttpLimits,
    pub(crate) metrics: Metrics,
    folder: Mutex<Folder>,
    pub(crate) throttle: FailureThrottle,
    gap: Mutex<Option<Gap>>,
    places: Arc<Semaphore>,
    is_draining: AtomicBool,
}

impl Shared {
    pub(crate) fn new(services: Services, limits: HttpLimits) -> Self {
        let places = limits.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        let Services {
            live,
            appender,
            clock,
            entropy,
            admin,
            published,
            assurance,
            issuer_keys,
            freshness,
        } = services;
        let throttle = FailureThrottle::new(&*entropy);
        Self {
            live,
            appender,
            clock,
            entropy,
            admin,
            assurance,
            log_reading: published.map(|disk| Arc::new(LogReading::new(disk))),
            issuer_keys,
            freshness,
            limits,
            metrics: Metrics::new(),
            folder: Mutex::default(),
            throttle,
            gap: Mutex::default(),
            places: Arc::new(Semaphore::new(places)),
            is_draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn folder(&self) -> MutexGuard<'_, Folder> {
        lock(&self.folder)
    }

    /// Counts a request that was turned away unrecorded.
    pub(crate) fn note_gap(&self, at: Stamp) {
        self.metrics.unrecorded();
        let mut gap = lock(&self.gap);
        let so_far = gap.get_or_insert(Gap { count: 0, first: at, last: at });
        so_far.count += 1;
        so_far.last = at;
    }

    /// The gap so far, to be recorded; it begins anew.
    pub(crate) fn take_gap(&self) -> Option<Gap> {
        lock(&self.gap).take()
    }

    /// Puts back a gap that could not be recorded.
    pub(crate) fn put_back_gap(&self, earlier: Gap) {
        let mut gap = lock(&self.gap);
        let later = gap.unwrap_or(Gap { count: 0, ..earlier });
        *gap = Some(Gap { count: earlier.count + later.count, first: earlier.first, ..later });
    }

    /// What answers of `model` wait for.
    pub(crate) fn ack_level(&self, model: &str) -> AckLevel {
        self.assurance.as_ref().map_or(AckLevel::Durable, |assurance| assurance.level_of(model))
    }

    /// Waits for a place among the connections.
    pub(crate) async fn connection_place(&self) -> OwnedSemaphorePermit {
        loop {
            // The semaphore is never closed; a closed one would only mean to wait on.
            if let Ok(place) = self.places.clone().acquire_owned().await {
                return place;
            }
        }
    }

    pub(crate) fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Whether a decision would be answered now.
    pub(crate) fn is_ready(&self) -> bool {
        let now_ns = self.clock.now().mono_ns;
        let is_stale = self.freshness.as_ref().is_some_and(|seen| seen.is_stale(now_ns));
        let must_be_synchronised = self.limits.clock_must_be_synchronised;
        !self.is_draining()
            && self.appender.is_writable()
            && !is_stale
            && self.clock.now().trouble(must_be_synchronised).is_none()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A lock whose holder panicked still guards a whole value: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
