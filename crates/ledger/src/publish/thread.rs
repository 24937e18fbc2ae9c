//! The thread that steps a publisher.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{PUBLISH_NS, Publication, PublishError, Publisher};

/// A publisher at work. Dropping it publishes and settles what there is, and ends the thread:
/// stop the log first, so that all of it is covered.
pub struct RunningPublisher {
    publication: Publication,
    is_anchored: bool,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Steps on a thread of its own, at most every 200 ms: at once where the log rested and
    /// somebody waits, else at the next look. `failed` hears of what ends it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(
        mut self,
        failed: Box<dyn FnOnce(PublishError) + Send>,
    ) -> io::Result<RunningPublisher> {
        let (publication, is_anchored) = (self.publication(), self.is_anchored());
        publication.note_anchored(is_anchored);
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let work = move || {
            self.publication.set_publisher(std::thread::current());
            let mut stepped_ns = 0;
            let outcome = loop {
                if stopping.load(Ordering::Acquire) {
                    break self.finish();
                }
                let rested_ns = self.clock.now().mono_ns.saturating_sub(stepped_ns);
                if PUBLISH_NS <= rested_ns && self.has_work() {
                    if let Err(error) = self.step() {
                        break Err(error);
                    }
                    stepped_ns = self.clock.now().mono_ns;
                }
                let wait_ns = PUBLISH_NS.saturating_sub(rested_ns).max(PUBLISH_NS / 20);
                let is_idle = PUBLISH_NS <= rested_ns;
                let wait_ns = if is_idle { PUBLISH_NS } else { wait_ns };
                std::thread::park_timeout(Duration::from_nanos(wait_ns));
            };
            if let Err(error) = outcome {
                failed(error);
            }
        };
        let thread = std::thread::Builder::new().name("ledger-publish".to_owned()).spawn(work)?;
        Ok(RunningPublisher { publication, is_anchored, stop, thread: Some(thread) })
    }
}

impl RunningPublisher {
    /// Where publications are told.
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// Whether anything outside the store remembers the log's size.
    pub fn is_anchored(&self) -> bool {
        self.is_anchored
    }
}

impl Drop for RunningPublisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic over there has told everybody that nothing more comes.
            let _ = thread.join();
        }
    }
}
