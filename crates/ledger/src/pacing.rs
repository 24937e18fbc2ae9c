//! How long the writer waits for company before a sync.
//!
//! A sync costs the same CPU for one record as for many. Where records come in company, waiting
//! up to the time of one sync makes half as many syncs do; a client alone never waits.

/// Records in a group beyond which waiting no longer pays: a sync's CPU (about 40 us) is then
/// little beside what the records themselves cost.
pub(crate) const GATHER_RECORDS_MAX: usize = 32;
/// Longest wait in nanoseconds, whatever a sync takes.
pub(crate) const GATHER_NS_MAX: u64 = 1_000_000;
/// Weight of the newest sync in the running mean: one part in this many.
const MEAN_PARTS: u64 = 8;

/// How the writer waits before it takes the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gather {
    /// Go on once this many records wait.
    pub(crate) until_records: usize,
    /// Go on after this many nanoseconds at the latest.
    pub(crate) wait_ns: u64,
}

/// How to wait, given the records of the last group, those waiting now, and the running mean of
/// a sync in nanoseconds; `None`: not at all.
///
/// A crowd that waits for its answers before it asks again comes back as large as it was: wait
/// for that many. A stream that goes on regardless brings as many during a wait as during a
/// sync: wait for twice as many as are there.
pub(crate) fn gather(n_last: usize, n_waiting: usize, sync_ns: u64) -> Option<Gather> {
    let stream = if 1 < n_waiting { n_waiting.saturating_mul(2) } else { 0 };
    let until_records = n_last.max(stream).min(GATHER_RECORDS_MAX);
    let wait_ns = sync_ns.min(GATHER_NS_MAX);
    let pays = 1 < until_records && n_waiting < until_records && 0 < wait_ns;
    if pays { Some(Gather { until_records, wait_ns }) } else { None }
}

/// The running mean after a sync of `sync_ns`; the first one is taken as it is.
pub(crate) fn mean(before_ns: u64, sync_ns: u64) -> u64 {
    if before_ns == 0 {
        return sync_ns;
    }
    before_ns - before_ns / MEAN_PARTS + sync_ns / MEAN_PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_alone_never_waits() {
        assert_eq!(gather(0, 1, 100_000), None);
        assert_eq!(gather(1, 1, 100_000), None);
        assert_eq!(gather(1, 0, 100_000), None);
    }

    #[test]
    fn a_crowd_is_waited_for_until_it_is_back_or_one_sync_is_over() {
        let wait = Gather { until_records: 8, wait_ns: 100_000 };
        assert_eq!(gather(8, 1, 100_000), Some(wait));
        assert_eq!(gather(8, 3, 100_000), Some(wait));
        assert_eq!(gather(8, 8, 100_000), Some(Gather { until_records: 16, ..wait }));
    }

    #[test]
    fn a_stream_is_waited_for_only_while_groups_are_small() {
        let twice = Gather { until_records: 12, wait_ns: 100_000 };
        assert_eq!(gather(6, 6, 100_000), Some(twice));
        assert_eq!(gather(9, GATHER_RECORDS_MAX, 100_000), None);
        assert_eq!(gather(500, GATHER_RECORDS_MAX + 1, 100_000), None);
    }

    #[test]
    fn no_wait_is_longer_than_its_bound_and_none_comes_before_a_sync_was_measured() {
        assert_eq!(gather(4, 1, u64::MAX).unwrap().wait_ns, GATHER_NS_MAX);
        assert_eq!(gather(4, 1, 0), None);
    }

    #[test]
    fn the_mean_follows_slowly() {
        assert_eq!(mean(0, 120), 120);
        assert_eq!(mean(800, 1_600), 900);
        assert_eq!(mean(800, 0), 700);
    }
}
