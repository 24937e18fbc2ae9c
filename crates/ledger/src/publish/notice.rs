//! What was published, for those who wait for it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::tlog::{Hash, SignatureLine};

/// Most checkpoints whose cosignatures are still taken.
const RECENT_MAX: usize = 64;

/// A checkpoint that is durable and can be read by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Records that it covers: those with an index below.
    pub size: u64,
    /// Root of their tree.
    pub root: Hash,
    /// When it was signed, in seconds since the Unix epoch.
    pub time_s: u64,
    /// The signed note, whole.
    pub note: String,
}

/// Called once: with the first checkpoint that covers the record, or `None` where the log ended
/// before. Must be quick and must not panic.
pub type Told = Box<dyn FnOnce(Option<Arc<Published>>) + Send>;

#[derive(Default)]
struct Board {
    newest: Option<Arc<Published>>,
    cosigned: Option<Arc<Published>>,
    recent: Vec<Arc<Published>>,
    waiting: Vec<(u64, Told)>,
    cosignatures: Vec<(u64, Vec<SignatureLine>)>,
    is_anchored: bool,
    stamped: u64,
    is_over: bool,
}

/// How far the log is known to others, in records; 0 where it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Covered by a signed checkpoint.
    pub published: u64,
    /// Covered by a checkpoint that witnesses cosigned.
    pub cosigned: u64,
    /// Covered by a checkpoint that an authority stamped since the start.
    pub stamped: u64,
    /// Whether anything outside the store remembers the log's size.
    pub is_anchored: bool,
}

/// Where publications are told; cheap to clone.
#[derive(Clone, Default)]
pub struct Publication {
    inner: Arc<(Mutex<Board>, Condvar)>,
    publisher: Arc<OnceLock<Thread>>,
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication").field("newest", &self.newest()).finish_non_exhaustive()
    }
}

impl Publication {
    /// No code under this lock can panic half-way.
    fn locked(&self) -> MutexGuard<'_, Board> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest checkpoint.
    pub fn newest(&self) -> Option<Arc<Published>> {
        self.locked().newest.clone()
    }

    /// The newest checkpoint that witnesses cosigned, with their lines in its note.
    pub fn cosigned(&self) -> Option<Arc<Published>> {
        self.locked().cosigned.clone()
    }

    /// How far the log is known to others.
    pub fn standing(&self) -> Standing {
        let board = self.locked();
        let size = |at: &Option<Arc<Published>>| at.as_ref().map_or(0, |at| at.size);
        Standing {
            published: size(&board.newest),
            cosigned: size(&board.cosigned),
            stamped: board.stamped,
            is_anchored: board.is_anchored || board.cosigned.is_some(),
        }
    }

    /// Takes note that the checkpoint of `size` records was time-stamped.
    pub fn note_stamped(&self, size: u64) {
        let mut board = self.locked();
        board.stamped = board.stamped.max(size);
    }

    /// Takes note of what the start found: whether anything outside remembers the log's size.
    pub(super) fn note_anchored(&self, is_anchored: bool) {
        self.locked().is_anchored = is_anchored;
    }

    /// Calls `told` as soon as a checkpoint covers the record `index`: at once, on this thread,
    /// where one does, else on the publisher's.
    pub fn when_covers(&self, index: u64, told: Told) {
        let answer = {
            let mut board = self.locked();
            match &board.newest {
                Some(newest) if index < newest.size => Some(Arc::clone(newest)),
                Some(_) | None if board.is_over => None,
                Some(_) | None => {
                    board.waiting.push((index, told));
                    drop(board);
                    self.wake();
                    return;
                }
            }
        };
        told(answer);
    }

    /// Waits until a checkpoint covers the record `index`, for at most `wait_max`.
    pub fn wait(&self, index: u64, wait_max: Duration) -> Option<Arc<Published>> {
        let deadline = Instant::now().checked_add(wait_max)?;
        self.wake();
        let mut board = self.locked();
        loop {
            if let Some(newest) = board.newest.as_ref().filter(|newest| index < newest.size) {
                return Some(Arc::clone(newest));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if board.is_over || left.is_zero() {
                return None;
            }
            let woken = self.inner.1.wait_timeout(board, left);
            board = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Hands over cosignatures, which the caller has verified, of the checkpoint of `size`
    /// entries. They are kept with it at the publisher's next step; those of a checkpoint that
    /// is not among the last 64 are dropped.
    pub fn add_cosignatures(&self, size: u64, lines: Vec<SignatureLine>) {
        let mut board = self.locked();
        if board.cosignatures.len() < RECENT_MAX {
            board.cosignatures.push((size, lines));
        }
        drop(board);
        self.wake();
    }

    /// Names the thread to wake where somebody waits.
    pub(super) fn set_publisher(&self, thread: Thread) {
        let _ = self.publisher.set(thread);
    }

    fn wake(&self) {
        if let Some(publisher) = self.publisher.get() {
            publisher.unpark();
        }
    }

    pub(super) fn has_cosignatures(&self) -> bool {
        !self.locked().cosignatures.is_empty()
    }

    pub(super) fn take_cosignatures(&self) -> Vec<(u64, Vec<SignatureLine>)> {
        std::mem::take(&mut self.locked().cosignatures)
    }

    /// The recent checkpoint of `size` entries.
    pub(super) fn recent(&self, size: u64) -> Option<Arc<Published>> {
        self.locked().recent.iter().rev().find(|published| published.size == size).cloned()
    }

    pub(super) fn set_cosigned(&self, published: Arc<Published>) {
        self.locked().cosigned = Some(published);
        self.inner.1.notify_all();
    }

    /// [`Publication::tell`] for tests of those who wait.
    #[cfg(any(test, feature = "testing"))]
    pub fn tell_by_hand(&self, published: Published) {
        self.tell(Arc::new(published));
    }

    /// Makes `published` the newest and tells those who waited for it.
    pub(super) fn tell(&self, published: Arc<Published>) {
        let told = {
            let mut board = self.locked();
            board.newest = Some(Arc::clone(&published));
            board.recent.retain(|other| other.size != published.size);
            if board.recent.len() == RECENT_MAX {
                board.recent.remove(0);
            }
            board.recent.push(Arc::clone(&published));
            let (told, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut board.waiting)
                .into_iter()
                .partition(|(index, _)| *index < published.size);
            board.waiting = waiting;
            told
        };
        self.inner.1.notify_all();
        told.into_iter().for_each(|(_, told)| told(Some(Arc::clone(&published))));
    }

    /// Tells everybody who still waits that nothing more will come.
    pub(super) fn end(&self) {
        let waiting = {
            let mut board = self.locked();
            board.is_over = true;
            std::mem::take(&mut board.waiting)
        };
        self.inner.1.notify_all();
        waiting.into_iter().for_each(|(_, told)| told(None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(size: u64) -> Arc<Published> {
        Arc::new(Published { size, root: [0; 32], time_s: 0, note: String::new() })
    }

    #[test]
    fn who_waits_is_told_once_at_the_first_size_that_covers_its_record() {
        let publication = Publication::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let ask = |index: u64| {
            let told = Arc::clone(&told);
            let note = move |answer: Option<Arc<Published>>| {
                told.lock().unwrap().push((index, answer.map(|published| published.size)));
            };
            publication.when_covers(index, Box::new(note));
        };
        [0, 4, 5, 9].into_iter().for_each(ask);
        publication.tell(published(5));
        ask(2);
        assert_eq!(publication.wait(4, Duration::ZERO).unwrap().size, 5);
        assert_eq!(publication.wait(5, Duration::ZERO), None);
        publication.tell(published(6));
        publication.end();
        ask(6);
        let told = told.lock().unwrap();
        let five = Some(5);
        assert_eq!(*told, [(0, five), (4, five), (2, five), (5, Some(6)), (9, None), (6, None)]);
    }
}
