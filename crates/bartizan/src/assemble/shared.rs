//! The thread that looks at what replicas share about access.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bartizan_core::Clock;
use bartizan_gateway::Freshness;
use tracing::{info, warn};

use crate::config::identity::Shared;
use crate::log::Chain;
use crate::owner::Owner;
use crate::owner::revocations::Seen;

/// How often it looks: what another replica revoked is in force here within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The thread at work. Dropping it ends the thread.
pub(crate) struct Looking {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Looking {
    /// Starts to look, where there is something that is shared; gives what requests are told by
    /// how fresh it is.
    ///
    /// # Errors
    /// The system has no thread.
    pub(crate) fn start(
        owner: &Arc<Owner>,
        shared: &Shared,
    ) -> std::io::Result<(Self, Option<Arc<Freshness>>)> {
        if shared.folder.is_none() {
            return Ok((Self { stop: None, thread: None }, None));
        }
        let clock = owner.clock();
        let max = Duration::from_secs(u64::from(shared.stale_s_max));
        let freshness = Arc::new(Freshness::new(clock.now().mono_ns, max));
        let (stop, stopped) = mpsc::channel();
        let (weak, seen) = (Arc::downgrade(owner), freshness.clone());
        let work = move || look(&weak, &seen, &*clock, &stopped);
        let thread = std::thread::Builder::new().name("shared-access".into()).spawn(work)?;
        Ok((Self { stop: Some(stop), thread: Some(thread) }, Some(freshness)))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("access.shared.died");
        }
    }
}

fn look(owner: &Weak<Owner>, seen: &Freshness, clock: &dyn Clock, stopped: &mpsc::Receiver<()>) {
    let mut was_good = true;
    loop {
        let Some(owner) = owner.upgrade() else { return };
        // Before the look: what is read is at least as new as that.
        let now_ns = clock.now().mono_ns;
        match owner.look_at_shared() {
            Ok(what) => {
                seen.see(now_ns);
                if what == Seen::More {
                    info!("access.shared.changed");
                }
                if !was_good {
                    info!("access.shared.reached");
                }
                was_good = true;
            }
            Err(error) => {
                if was_good {
                    warn!(error = %Chain(&error), "access.shared.unreachable");
                }
                was_good = false;
            }
        }
        drop(owner);
        if stopped.recv_timeout(LOOK_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
