//! From configured issuers and trust domains to what requests are authenticated by, kept fresh.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use bartizan_access::{AskAgain, Identities, Issuer, IssuerRules, Issuers, JwkSet, TrustDomain};
use bartizan_core::{Clock, EnvName};
use bartizan_gateway::{IssuerKeys, Look};
use bartizan_outbound::https::{HttpsClient, HttpsError, HttpsSettings, Roots};
use bartizan_outbound::issuer_keys::{KeyKeeper, KeyNews, KeysAt, Listener, Source};
use tracing::{info, warn};

use crate::config::Config;
use crate::config::identity;
use crate::files::{self, FileError};
use crate::log::Chain;
use crate::owner::Owner;
use crate::owner::store::Act;

/// Longest file of roots, in bytes.
const ROOTS_BYTES_MAX: u64 = 1024 * 1024;

/// Why an issuer cannot be asked for its keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuerError {
    /// Its roots cannot be read.
    #[error("cannot load the roots of issuer `{issuer}`")]
    Roots {
        /// The issuer.
        issuer: EnvName,
        /// Why.
        source: FileError,
    },
    /// They are none.
    #[error("cannot make the client that asks issuer `{issuer}`")]
    Client {
        /// The issuer.
        issuer: EnvName,
        /// Why.
        source: HttpsError,
    },
    /// There is no thread for it.
    #[error("cannot start the thread that looks after issuers' keys")]
    Thread(#[source] std::io::Error),
}

/// The identities of `config`. An issuer that `known` has with the very same rules keeps its
/// keys.
pub(crate) fn identities(config: &Config, known: &Identities) -> Identities {
    let old: BTreeMap<&EnvName, &Issuer> =
        known.issuers().all().iter().map(|issuer| (&issuer.rules.name, issuer)).collect();
    let issuers = identity::all_rules(&config.issuer).into_iter().map(|(rules, _)| {
        let keys = keys_of(&rules, &old);
        Issuer { rules, keys }
    });
    let issuers = Arc::new(Issuers::new(issuers.collect()));
    // What is wrong with a trust domain was said when the configuration was read.
    let domains: Arc<[TrustDomain]> =
        config.trust.iter().filter_map(|trust| trust.domain().ok()).collect();
    Identities::new(issuers, domains, Arc::default()).with_revocations(known.shared_revocations())
}

fn keys_of(rules: &IssuerRules, old: &BTreeMap<&EnvName, &Issuer>) -> Option<Arc<JwkSet>> {
    let known = old.get(&rules.name)?;
    let same = known.rules.issuer == rules.issuer && known.rules.algorithms == rules.algorithms;
    known.keys.clone().filter(|_| same)
}

/// Where the keys of each issuer of `config` are got, with paths inside `root`.
///
/// # Errors
/// [`IssuerError`].
pub(crate) fn keeper(
    config: &Config,
    root: &Path,
    clock: Arc<dyn Clock>,
) -> Result<KeyKeeper, IssuerError> {
    let mut issuers = Vec::new();
    for (rules, issuer) in identity::all_rules(&config.issuer) {
        let name = rules.name.clone();
        let roots = match &issuer.roots {
            None => Roots::System,
            Some(path) => {
                let read = files::read_bounded(&root.join(path), ROOTS_BYTES_MAX);
                let pem =
                    read.map_err(|source| IssuerError::Roots { issuer: name.clone(), source })?;
                Roots::from_pem(&pem)
                    .map_err(|source| IssuerError::Client { issuer: name.clone(), source })?
            }
        };
        let settings = HttpsSettings {
            roots,
            answer_bytes_max: bartizan_access::SET_BYTES_MAX,
            ..HttpsSettings::default()
        };
        let client = HttpsClient::new(settings)
            .map_err(|source| IssuerError::Client { issuer: name.clone(), source })?;
        let keys = match (&issuer.keys_url, &issuer.keys_file) {
            (Some(url), _) => KeysAt::Url(url.clone()),
            (None, Some(path)) => KeysAt::File(root.join(path)),
            (None, None) => KeysAt::Discovery,
        };
        let source = Source { issuer: rules.issuer.clone(), keys, client };
        issuers.push((name, source, rules.algorithms.clone()));
    }
    Ok(KeyKeeper::new(issuers, clock))
}

/// The keeper at work, which a reload of the configuration replaces.
pub(crate) struct Keeping {
    keeper: ArcSwap<KeyKeeper>,
    replaced: tokio::sync::watch::Sender<u64>,
}

impl Keeping {
    /// Starts the thread that looks after issuers' keys; changes go through `owner`. It ends with
    /// the process.
    ///
    /// # Errors
    /// [`IssuerError::Thread`].
    pub(crate) fn start(
        keeper: KeyKeeper,
        owner: &Arc<Owner>,
    ) -> Result<(Arc<Self>, JoinHandle<()>), IssuerError> {
        let (replaced, mut seen) = tokio::sync::watch::channel(0);
        let keeping = Arc::new(Self { keeper: ArcSwap::from_pointee(keeper), replaced });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(IssuerError::Thread)?;
        // A strong handle would keep the owner, and with it the store's lock, for ever.
        let (weak, held) = (Arc::downgrade(owner), Arc::downgrade(&keeping));
        let listener: Listener = Arc::new(move |news| {
            if let Some(owner) = weak.upgrade() {
                take_in(&owner, news);
            }
        });
        let work = async move {
            loop {
                let Some(keeper) = held.upgrade().map(|keeping| keeping.keeper.load_full()) else {
                    return;
                };
                let has_ended = tokio::select! {
                    () = keeper.run(listener.clone()) => seen.changed().await.is_err(),
                    changed = seen.changed() => changed.is_err(),
                };
                if has_ended {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("issuer-keys".into());
        let thread = thread.spawn(move || runtime.block_on(work)).map_err(IssuerError::Thread)?;
        Ok((keeping, thread))
    }

    /// Looks after these issuers' keys from now on.
    pub(crate) fn replace(&self, keeper: KeyKeeper) {
        self.keeper.store(Arc::new(keeper));
        self.replaced.send_modify(|round| *round = round.wrapping_add(1));
    }
}

impl IssuerKeys for Keeping {
    fn look_again<'a>(&'a self, ask: &'a AskAgain) -> Look<'a> {
        let keeper = self.keeper.load_full();
        Box::pin(async move { keeper.look_again(ask).await })
    }

    fn note_absent(&self, ask: &AskAgain) {
        self.keeper.load().note_absent(ask);
    }
}

/// Lets an issuer's new keys go live, once that is on record.
fn take_in(owner: &Owner, news: KeyNews) {
    match news {
        KeyNews::Same { .. } => {}
        KeyNews::Failed { issuer, error } => {
            warn!(issuer = %issuer, error = %Chain(&error), "access.issuer-keys.not-fetched");
        }
        KeyNews::Changed { issuer, keys } => {
            if !keys.left_out().is_empty() {
                let left_out = keys.left_out().join(", ");
                warn!(issuer = %issuer, left_out, "access.issuer-keys.left-out");
            }
            let act = Act::IssuerKeysChanged { issuer: issuer.clone(), digest: keys.digest() };
            let n_keys = keys.n_keys();
            let changed = owner.local_principal().map(|caller| {
                owner.change_identities(&caller, &act, |now| now.with_keys(&issuer, keys))
            });
            match changed {
                Ok(Ok(_)) => info!(issuer = %issuer, n_keys, "access.issuer-keys.changed"),
                Ok(Err(error)) => {
                    warn!(issuer = %issuer, error = %Chain(&error), "access.issuer-keys.unrecorded");
                }
                Err(error) => {
                    warn!(issuer = %issuer, error = %Chain(&error), "access.issuer-keys.unrecorded");
                }
            }
        }
    }
}
