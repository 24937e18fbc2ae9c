//! Who is at the other end: what a connection and a request show, held against the snapshot of
//! the moment.
//!
//! Invariants
//! - W1: a client certificate is checked again, chain and revocation, on the first request after
//!   the trusted roots or revocation lists were replaced: an open connection keeps nobody in;
//! - W2: while what replicas share about access was not seen for as long as [`Freshness`] says (at
//!   most [`STALE_MAX`]), nobody is let in.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_access::{CertificateFailure, Credential, PeerCertificate, Presented, Unproven, Zone};
use bartizan_core::{Refusal, RefusalCode, Stamp};
use hyper::header::{self, HeaderMap};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;

use crate::lane::Lane;
use crate::shared::Live;

/// Longest that a replica serves from what it knew when the shared access state was last seen.
pub const STALE_MAX: Duration = Duration::from_secs(60);

/// When the state that all replicas share about access was last seen; see W2.
#[derive(Debug)]
pub struct Freshness {
    seen_ns: AtomicU64,
    max_ns: u64,
}

impl Freshness {
    /// Seen at `mono_ns` of the server's clock, which is good for `max`, at most [`STALE_MAX`].
    pub fn new(mono_ns: u64, max: Duration) -> Self {
        let max_ns = u64::try_from(max.min(STALE_MAX).as_nanos()).unwrap_or(u64::MAX);
        Self { seen_ns: AtomicU64::new(mono_ns), max_ns }
    }

    /// Notes that it was seen.
    pub fn see(&self, mono_ns: u64) {
        self.seen_ns.fetch_max(mono_ns, Ordering::Relaxed);
    }

    /// Whether that is too long ago at `mono_ns`.
    pub fn is_stale(&self, mono_ns: u64) -> bool {
        self.seen_ns.load(Ordering::Relaxed).saturating_add(self.max_ns) < mono_ns
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    Network(IpAddr),
    Process { uid: u32 },
}

impl Peer {
    /// Where it lies.
    pub(crate) fn zone(self) -> Zone {
        match self {
            Self::Network(ip) => Zone::of(ip),
            Self::Process { .. } => Zone::Loopback,
        }
    }

    pub(crate) fn source(self) -> String {
        match self {
            Self::Network(IpAddr::V4(ip)) => ip.to_string(),
            // An IPv6 source is a /64: one subscriber's network.
            Self::Network(IpAddr::V6(ip)) => format!("{:x?}/64", &ip.segments()[..4]),
            Self::Process { uid } => format!("uid {uid}"),
        }
    }
}

/// The client certificate of a connection.
pub(crate) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    certificate: Result<PeerCertificate, CertificateFailure>,
    /// By which rules it was checked, by their address, which they keep while this holds them.
    checked: Mutex<Option<(Arc<dyn ClientCertVerifier>, bool)>>,
}

impl Shown {
    /// Of the chain that TLS was shown, the client's own certificate first.
    pub(crate) fn new(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let certificate = PeerCertificate::parse(chain.first()?);
        let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
        Some(Self { chain, certificate, checked: Mutex::default() })
    }

    /// The certificate, where it is good by the rules of `live`; see W1.
    fn certificate(&self, live: &Live, at: Stamp) -> Result<&PeerCertificate, CertificateFailure> {
        let certificate = self.certificate.as_ref().map_err(|failure| *failure)?;
        let clients = live.tls.as_ref().and_then(|tls| tls.clients.as_ref());
        let clients = clients.ok_or(CertificateFailure::UnknownDomain)?;
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = checked.as_ref().filter(|(rules, _)| Arc::ptr_eq(rules, clients));
        let is_good = match known {
            Some((_, is_good)) => *is_good,
            None => {
                let now = UnixTime::since_unix_epoch(Duration::from_secs(at.unix_s()));
                let (own, others) =
                    self.chain.split_first().ok_or(CertificateFailure::Malformed)?;
                let is_good = clients.verify_client_cert(own, others, now).is_ok();
                *checked = Some((clients.clone(), is_good));
                is_good
            }
        };
        if is_good { Ok(certificate) } else { Err(CertificateFailure::Revoked) }
    }
}

/// What one request shows, kept for as long as a stream lasts, so that each of its messages is
/// authorised by the snapshot of its own moment.
pub(crate) struct Caller<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) peer: Peer,
    pub(crate) shown: Option<&'a Shown>,
    pub(crate) bearer: Option<&'a str>,
}

impl Caller<'_> {
    /// Who it is by `live`, or by what is live once a missing key of an issuer was looked for. To
    /// be called again with the live state of the moment for each message of a stream.
    ///
    /// # Errors
    /// The refusal, and the reason for the operator.
    pub(crate) async fn prove(
        &self,
        live: &mut Arc<Live>,
        at: Stamp,
    ) -> Result<Credential, (Refusal, &'static str)> {
        let lane = self.lane;
        if lane.freshness.as_ref().is_some_and(|seen| seen.is_stale(at.mono_ns)) {
            let mut refusal = Refusal::new(RefusalCode::AccessUnavailable);
            refusal.retry_after_s = Some(1);
            return Err((refusal, "shared-access-state-not-seen"));
        }
        let first = match self.held_against(live, at) {
            Ok(credential) => return Ok(credential),
            Err(unproven) => unproven,
        };
        let (Some(ask), Some(keys)) = (&first.ask_again, &lane.issuer_keys) else {
            return Err(self.refuse(&first, at));
        };
        let looked = keys.look_again(ask).await;
        let now = lane.live.load_full();
        // A look may have ended between the first try and the question for another.
        if !looked && Arc::ptr_eq(live, &now) {
            return Err(self.refuse(&first, at));
        }
        *live = now;
        self.held_against(live, at).map_err(|unproven| {
            if looked && unproven.ask_again.is_some() {
                keys.note_absent(ask);
            }
            self.refuse(&unproven, at)
        })
    }

    fn held_against(&self, live: &Live, at: Stamp) -> Result<Credential, Unproven> {
        let shown = self.shown.map(|shown| shown.certificate(live, at)).transpose();
        let certificate =
            shown.map_err(|failure| Unproven { reason: failure.as_str(), ask_again: None })?;
        let presented = Presented { bearer: self.bearer, certificate };
        let snapshot = &live.snapshot;
        snapshot.identities().authenticate(presented, snapshot.keys(), at.unix_s())
    }

    /// A failure counts against its source; a good credential from the same source is never
    /// refused.
    fn refuse(&self, unproven: &Unproven, at: Stamp) -> (Refusal, &'static str) {
        let unauthenticated = Refusal::new(RefusalCode::Unauthenticated);
        let Peer::Network(source) = self.peer else { return (unauthenticated, unproven.reason) };
        if unproven.is_silent() {
            return (unauthenticated, unproven.reason);
        }
        match self.lane.throttle.note_failure(source, at.mono_ns) {
            Ok(()) => (unauthenticated, unproven.reason),
            Err(wait) => {
                let mut refusal = Refusal::new(RefusalCode::Throttled);
                refusal.retry_after_s = Some(wait.secs);
                (refusal, unproven.reason)
            }
        }
    }
}

/// The text behind `Bearer`; none where there is no such header.
///
/// # Errors
/// Where there are several, or one of another scheme.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let mut presented = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = presented.next() else { return Ok(None) };
    if presented.next().is_some() {
        return Err(());
    }
    let text = value.to_str().map_err(|_| ())?;
    let (scheme, token) = text.split_once(' ').ok_or(())?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    /// W1 is held by `a domain that is gone takes its open connections along`, with real
    /// certificates, in `tests/interop/test_identity.py`. W2 from both sides of the limit; being seen never goes back.
    #[test]
    fn what_was_not_seen_for_a_minute_is_stale() {
        let second = 1_000_000_000;
        let seen = Freshness::new(5 * second, Duration::from_secs(9_999));
        assert!(!seen.is_stale(65 * second));
        assert!(seen.is_stale(65 * second + 1));
        seen.see(6 * second);
        seen.see(5 * second);
        assert!(!seen.is_stale(66 * second));
        assert!(seen.is_stale(66 * second + 1));
    }

    #[test]
    fn one_bearer_is_taken_and_nothing_else() {
        let headers = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            headers
        };
        assert_eq!(bearer(&headers(&[])), Ok(None));
        assert_eq!(bearer(&headers(&["bEaReR  x.y.z "])), Ok(Some("x.y.z")));
        for bad in [&["Basic eDp5"][..], &["Bearer"], &["Bearer a", "Bearer b"], &["Bearer a", ""]]
        {
            assert_eq!(bearer(&headers(bad)), Err(()), "{bad:?}");
        }
    }
}
