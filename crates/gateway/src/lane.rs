//! What belongs to one lane: the way its receipts come back.
//!
//! The ledger's writer answers from its own thread. Waking the lane for each record would cost
//! more than the record, so answers are put into the lane's mailbox, and only the first into an
//! empty one wakes the lane.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_ledger::{AppendError, Appender, Entry, Receipt};
use tokio::sync::{Notify, oneshot};

use crate::shared::Shared;

type Outcome = Result<Receipt, AppendError>;

/// Answers that have come and were not handed out yet.
#[derive(Default)]
struct Mailbox {
    letters: Mutex<Vec<(oneshot::Sender<Outcome>, Outcome)>>,
    first_came: Notify,
}

impl Mailbox {
    fn put(&self, to: oneshot::Sender<Outcome>, outcome: Outcome) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push((to, outcome));
        let is_first = letters.len() == 1;
        drop(letters);
        if is_first {
            self.first_came.notify_one();
        }
    }
}

/// One lane and what it shares with the others.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
}

impl Lane {
    pub(crate) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, mailbox: Arc::default() })
    }

    /// To be called whenever the lane is about to wait for its sockets.
    pub(crate) fn rest(shared: &Shared) {
        shared.appender.flush();
    }

    /// Hands out what comes, for as long as the lane runs.
    pub(crate) async fn deliver(self: Arc<Self>) {
        let mut round = Vec::new();
        loop {
            self.mailbox.first_came.notified().await;
            {
                let letters = self.mailbox.letters.lock();
                std::mem::swap(&mut *letters.unwrap_or_else(PoisonError::into_inner), &mut round);
            }
            for (to, outcome) in round.drain(..) {
                // The caller may be gone; the record stands all the same.
                let _ = to.send(outcome);
            }
        }
    }

    /// Appends `entry` and waits until it is durable. The ledger's writer is woken once the lane
    /// has nothing else to do ([`Lane::rest`]), so that requests that came together share a sync.
    ///
    /// # Errors
    /// [`AppendError`]: it is not on record, or that is in doubt.
    pub(crate) async fn append(&self, entry: Entry) -> Outcome {
        let (told, durable) = oneshot::channel();
        let mailbox = self.mailbox.clone();
        let done = Box::new(move |outcome| mailbox.put(told, outcome));
        let appender: &Appender = &self.shared.appender;
        appender.append_later(entry, done)?;
        durable.await.unwrap_or(Err(AppendError::Stopped))
    }
}

impl Deref for Lane {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
