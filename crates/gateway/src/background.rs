//! What a server does beside answering: writing tallies and gaps.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::entropy;
use bartizan_decision::{Folded, gap_entry, tally_entry};
use bartizan_ledger::Entry;
use tokio::sync::watch;
use tracing::warn;

use crate::shared::Shared;

/// How often a window that is over is looked for.
const TICK: Duration = Duration::from_millis(200);

/// Whether a window must be over to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    CloseIfOver,
    CloseNow,
}

/// Writes what is due, until the server stops.
pub(crate) async fn tick(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = interval.tick() => write_tallies(&shared, Window::CloseIfOver),
        }
    }
}

/// Hands the tallies of a window, and the gap since the last, to the ledger. What the ledger does
/// not take is kept for the next time, so that no count is lost.
pub(crate) fn write_tallies(shared: &Shared, window: Window) {
    let now = shared.clock.now();
    let snapshot = shared.live.load().snapshot.clone();
    let due = match window {
        Window::CloseIfOver => shared.folder().close(now),
        Window::CloseNow => shared.folder().close_now(),
    };
    for folded in due {
        if !append(shared, tally_entry(&snapshot, &folded, now)) {
            keep(shared, folded);
        }
    }
    if !shared.appender.is_writable() {
        return;
    }
    if let Some(gap) = shared.take_gap() {
        let random = entropy::random(&*shared.entropy);
        let entry = gap_entry(&snapshot, gap.count, gap.first, gap.last, now, random);
        if !append(shared, entry) {
            shared.put_back_gap(gap);
        }
    }
}

fn keep(shared: &Shared, folded: Folded) {
    shared.folder().take_back(folded, shared.clock.now());
}

fn append(shared: &Shared, entry: Option<Entry>) -> bool {
    let Some(entry) = entry else { return false };
    let done = Box::new(|outcome: Result<_, _>| {
        if outcome.is_err() {
            warn!("gateway.tally.lost");
        }
    });
    shared.appender.append(entry, done).is_ok()
}
