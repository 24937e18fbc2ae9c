//! The witness: each status of the specification, restarts, losses of power, races and forks.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests: a panic is a failure"
)]

use bartizan_testkit::{Fault, SimDisk, SplitMix};

use super::*;
use crate::receipt::leaf_hash;
use crate::tlog::{Frontier, KeyKind, Nodes, prove_consistency};

const ORIGIN: &str = "log.example/1";
const NOW_S: u64 = 1_800_000_000;

fn log_key(seed: u8) -> NoteSigner {
    NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[seed; 32]).unwrap()
}

fn witness(disk: &SimDisk) -> State {
    witness_with(disk, &[KeyKind::CosignatureV1])
}

fn witness_with(disk: &SimDisk, kinds: &[KeyKind]) -> State {
    let signer = |kind: &KeyKind| NoteSigner::from_seed("w.example/1", *kind, &[3; 32]).unwrap();
    let signers = kinds.iter().map(signer).collect();
    State::new(Arc::new(disk.clone()), [log_key(1).public().clone()], signers)
}

/// A log's history: leaf hashes from a seed.
struct History(Vec<Hash>);

impl History {
    fn new(n: usize, seed: u64) -> Self {
        let mut chance = SplitMix::new(seed);
        Self((0..n).map(|_| leaf_hash(&chance.draw().to_le_bytes())).collect())
    }

    fn root(&self, size: u64) -> Hash {
        let mut frontier = Frontier::new();
        self.0[..size as usize].iter().for_each(|hash| frontier.push(*hash));
        frontier.root()
    }

    fn request(&mut self, old_size: u64, size: u64) -> AddCheckpoint {
        self.signed(old_size, size, &log_key(1), ORIGIN)
    }

    fn signed(
        &mut self,
        old_size: u64,
        size: u64,
        key: &NoteSigner,
        origin: &str,
    ) -> AddCheckpoint {
        let root = self.root(size);
        let text = Checkpoint { origin, size, root, extensions: vec![] }.to_string();
        let signatures = vec![key.sign(&text, 0).unwrap()];
        let checkpoint = Note { text: &text, signatures }.to_string();
        let proof = prove_consistency(self, old_size, size).unwrap();
        AddCheckpoint { old_size, proof, checkpoint }
    }
}

impl Nodes for History {
    type Error = std::convert::Infallible;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let n = 1_usize << level;
        let start = index as usize * n;
        let mut frontier = Frontier::new();
        self.0[start..start + n].iter().for_each(|hash| frontier.push(*hash));
        Ok(frontier.root())
    }
}

fn status(answer: Result<Vec<SignatureLine>, WitnessRefusal>) -> (u16, Option<u64>) {
    answer.map_or_else(|refusal| (refusal.status(), refusal.known_size()), |_| (200, None))
}

#[test]
fn a_request_reads_back_and_nothing_else_is_one() {
    let request = History::new(9, 1).request(5, 9);
    let body = request.to_string();
    assert_eq!(AddCheckpoint::parse(body.as_bytes()).unwrap(), request);
    let many = "A".repeat(43) + "=\n";
    for bad in [
        String::new(),
        body.replacen("old 5", "old 05", 1),
        body.replacen("old 5", "old -5", 1),
        body.replacen("old", "new", 1),
        body.replacen("\n\n", "\n", 2),
        body.replacen('=', "", 1),
        format!("old 5\n{}\n{}", many.repeat(64), request.checkpoint),
        "x".repeat(REQUEST_BYTES_MAX + 1),
    ] {
        assert_eq!(AddCheckpoint::parse(bad.as_bytes()).unwrap_err().status(), 400, "{bad:.60}");
    }
    let at_most = format!("old 5\n{}\n{}", many.repeat(63), request.checkpoint);
    assert_eq!(AddCheckpoint::parse(at_most.as_bytes()).unwrap().proof.len(), 63);
}

/// Both cosignatures verify over the log's own text, with the time.
#[test]
fn what_continues_is_cosigned_by_every_key() {
    let witness = witness_with(&SimDisk::new(1), &[KeyKind::CosignatureV1, KeyKind::MlDsa44]);
    let mut log = History::new(300, 1);
    for (old, new) in [(0, 0), (0, 7), (7, 7), (7, 256), (256, 300)] {
        let request = log.request(old, new);
        let lines = witness.add_checkpoint(&request, NOW_S).unwrap();
        let note = Note::parse(request.checkpoint.as_bytes()).unwrap();
        for (line, key) in lines.iter().zip(witness.keys()) {
            assert!(line.is_of(key));
            assert_eq!(key.verify(note.text, &line.signature), Some(NOW_S), "{key:?}");
        }
        assert_eq!(lines.len(), 2);
        let seen = Seen { size: new, root: log.root(new) };
        assert_eq!(witness.newest(ORIGIN).unwrap(), Some(seen));
    }
}

/// N2: each refusal has the status of the specification, and changes nothing.
#[test]
fn each_refusal_has_its_status_and_changes_nothing() {
    let witness = witness(&SimDisk::new(1));
    let (mut log, mut fork) = (History::new(40, 1), History::new(40, 2));
    let ask = |request: &AddCheckpoint| status(witness.add_checkpoint(request, NOW_S));
    let stranger = fork.signed(0, 9, &log_key(9), ORIGIN);
    assert_eq!(ask(&stranger), (403, None));
    let other = NoteSigner::from_seed("other", KeyKind::Ed25519, &[1; 32]).unwrap();
    assert_eq!(ask(&log.signed(0, 9, &other, "other")), (404, None));
    assert_eq!(ask(&log.request(3, 9)), (409, Some(0)));
    assert_eq!(ask(&log.request(0, 9)), (200, None));
    assert_eq!(ask(&log.request(0, 12)), (409, Some(9)), "an old size of 0 asks for the size");
    assert_eq!(ask(&log.request(8, 12)), (409, Some(9)));
    let mut back = log.request(9, 12);
    back.checkpoint = log.request(0, 8).checkpoint;
    assert_eq!(ask(&back), (400, None), "older than its own old size");
    assert_eq!(ask(&fork.request(9, 9)), (409, Some(9)), "a split view of the same size");
    assert_eq!(ask(&fork.request(9, 20)), (422, None), "a split view that grew");
    let mut short = log.request(9, 20);
    short.proof.pop();
    assert_eq!(ask(&short), (422, None));
    let mut long = log.request(9, 9);
    long.proof.push([0; 32]);
    assert_eq!(ask(&long), (422, None));
    let mut garbled = log.request(9, 20);
    garbled.checkpoint = "hello".to_owned();
    assert_eq!(ask(&garbled), (400, None));
    assert_eq!(witness.newest(ORIGIN).unwrap().map(|seen| seen.size), Some(9));
    assert_eq!(ask(&log.request(9, 20)), (200, None));
}

/// N1: over losses of power at any write, sync or rename, no answered size is ever forgotten, and
/// no fork of it cosigned.
#[test]
fn no_loss_of_power_makes_a_witness_forget_what_it_cosigned() {
    const FAULTS: &[Fault] = &[
        Fault::CrashAtWrite,
        Fault::CrashAtSync,
        Fault::SyncError,
        Fault::WriteError,
        Fault::WriteShort,
        Fault::SyncDirError,
        Fault::RenameError,
    ];
    for seed in 0..200 {
        let (mut chance, disk) = (SplitMix::new(seed), SimDisk::new(seed));
        let (mut log, mut fork) = (History::new(60, 1), History::new(60, 2));
        let mut answered = 0;
        for _ in 0..6 {
            let state = witness(&disk);
            let fault = FAULTS[chance.below(FAULTS.len() as u64) as usize];
            disk.fail_after(chance.below(6), fault);
            for _ in 0..chance.below(5) {
                let Ok(newest) = state.newest(ORIGIN) else { break };
                let known = newest.map_or(0, |seen| seen.size);
                assert!(answered <= known, "seed {seed}: {answered} was answered, {known} known");
                let size = (known + chance.below(5)).min(60);
                if state.add_checkpoint(&log.request(known, size), NOW_S).is_ok() {
                    answered = size;
                }
            }
            disk.clear_faults();
            if chance.one_in(3) { disk.kill() } else { disk.crash() }
        }
        let state = witness(&disk);
        let known = state.newest(ORIGIN).unwrap().map_or(0, |seen| seen.size);
        assert!(answered <= known, "seed {seed}: {answered} was answered, {known} known");
        if 0 < known {
            assert!(state.add_checkpoint(&fork.request(known, 60), NOW_S).is_err());
        }
    }
}

/// N1: many at once; the sizes that are answered only grow, and the last is what is kept.
#[test]
fn requests_at_once_never_roll_a_log_back() {
    let state = witness(&SimDisk::new(1));
    let answered = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (state, answered) = (&state, &answered);
            scope.spawn(move || {
                let (mut log, mut chance) = (History::new(200, 1), SplitMix::new(thread));
                for _ in 0..20 {
                    let known = state.newest(ORIGIN).unwrap().map_or(0, |seen| seen.size);
                    let size = (known + 1 + chance.below(4)).min(200);
                    if state.add_checkpoint(&log.request(known, size), NOW_S).is_ok() {
                        answered.lock().unwrap().push(size);
                    }
                }
            });
        }
    });
    let answered = answered.into_inner().unwrap();
    let newest = state.newest(ORIGIN).unwrap().unwrap();
    assert_eq!(answered.iter().max(), Some(&newest.size));
}

/// N3.
#[test]
fn a_damaged_state_refuses_and_is_not_taken_for_none() {
    let disk = SimDisk::new(1);
    let mut log = History::new(9, 1);
    witness(&disk).add_checkpoint(&log.request(0, 9), NOW_S).unwrap();
    let file = State::file(ORIGIN);
    let bytes = disk.bytes(&file).unwrap();
    for at in 0..bytes.len() {
        disk.flip(&file, at as u64, 2).unwrap();
        let refused = witness(&disk).add_checkpoint(&log.request(9, 9), NOW_S);
        assert_eq!(status(refused).0, 500, "byte {at}");
        disk.flip(&file, at as u64, 2).unwrap();
    }
    disk.plant(&file, b"");
    assert_eq!(status(witness(&disk).add_checkpoint(&log.request(0, 9), NOW_S)).0, 500);
}
