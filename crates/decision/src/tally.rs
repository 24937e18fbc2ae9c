//! Records of what has no record of its own: folded refusals, and requests that were turned away
//! while nothing could be recorded.

use bartizan_core::{DecisionId, Stamp};
use bartizan_ledger::{Act, ActKind, Body, Entry, EntryClass, Record, Tally};

use crate::fold::{Folded, Whom};
use crate::snapshot::Snapshot;

/// The record of a tally, made at `now`; `None` where it could not be encoded.
pub fn tally_entry(snapshot: &Snapshot, folded: &Folded, now: Stamp) -> Option<Entry> {
    let (source, principal) = match folded.key.whom {
        Whom::Several => (None, None),
        Whom::Source(source) => (Some(source), None),
        Whom::Principal(principal) => (None, Some(principal)),
    };
    let tally = Tally {
        listener: folded.key.listener.into(),
        refusal: folded.key.code.as_str().into(),
        failure: (!folded.key.reason.is_empty()).then(|| folded.key.reason.into()),
        source,
        principal,
        count: folded.count,
        from_ns: folded.first.wall_ns,
        to_ns: folded.last.wall_ns,
        samples_ns: folded.samples.clone(),
    };
    entry(snapshot, folded.id, now, Body::Tally(tally), EntryClass::Folded)
}

/// The record of `count` requests that came between `first` and `last` and could not be recorded.
pub fn gap_entry(
    snapshot: &Snapshot,
    count: u64,
    first: Stamp,
    last: Stamp,
    now: Stamp,
    random: [u8; 10],
) -> Option<Entry> {
    let act = Act {
        count: Some(count),
        from_ns: Some(first.wall_ns),
        to_ns: Some(last.wall_ns),
        ..Act::new(ActKind::Gap)
    };
    let id = DecisionId::new(now.wall_ns, random);
    entry(snapshot, id, now, Body::Act(Box::new(act)), EntryClass::Reserved)
}

fn entry(
    snapshot: &Snapshot,
    id: DecisionId,
    at: Stamp,
    body: Body<'_>,
    class: EntryClass,
) -> Option<Entry> {
    let site = snapshot.site();
    let record = Record {
        id,
        at,
        environment: site.environment.as_str().into(),
        replica: site.replica.as_ref().into(),
        volatile: site.is_volatile,
        body,
    };
    Entry::new(record.encode(), Vec::new(), class).ok()
}
