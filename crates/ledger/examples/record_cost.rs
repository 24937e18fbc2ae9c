//! What the ledger costs a request of 30 features: CPU of each step, bytes on disk, and appends
//! on the real disk beside a bare write and sync of the same size in the same run.
//!
//! `cargo run --release -p bartizan-ledger --example record_cost [FOLDER]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers: it prints its table and ends at the first error"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bartizan_core::clock::{Clock, ClockSource, Stamp};
use bartizan_core::disk::Disk;
use bartizan_core::entropy::Entropy;
use bartizan_core::id::DecisionId;
use bartizan_core::principal::Pseudonym;
use bartizan_core::tensor::{Tensor, Values};
use bartizan_core::{Digest, entropy};
use bartizan_ledger::{
    Appender, Body, Commitment, Commitments, Decision, Digests, Durations, EngineRef, Entry,
    EntryClass, FileDisk, FileKeys, Log, LogConfig, MemDisk, ModelRef, Payload, Record,
    RecordSecret, Sealer, SealingKeys, commit, commit_outputs, commit_tensors,
};

const N: u32 = 50_000;

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        let wall_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let mono_ns = self.0.elapsed().as_nanos() as u64;
        let source = ClockSource::Unsynchronised;
        Stamp { wall_ns, raw_ns: wall_ns, mono_ns, source, error_ns: 0 }
    }
}

/// A counter: this tool protects nothing.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

struct Request {
    received: Vec<u8>,
    reply: Vec<u8>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

fn request() -> Request {
    let values: Vec<f32> = (0..30).map(|n| 0.1 + n as f32 * 17.37).collect();
    let list: Vec<_> = values.iter().map(|value| format!("{value:.5}")).collect();
    let received = format!(
        "{{\"inputs\":[{{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[1,30],\"data\":[{}]}}]}}",
        list.join(",")
    );
    let reply = "{\"model_name\":\"cancer\",\"model_version\":\"1\",\"outputs\":[{\"name\":\
                 \"label\",\"datatype\":\"INT64\",\"shape\":[1],\"data\":[1]},{\"name\":\
                 \"probabilities\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":\
                 [0.0123456,0.9876544]}]}";
    Request {
        received: received.into_bytes(),
        reply: reply.as_bytes().to_vec(),
        inputs: vec![Tensor::new("X", vec![1, 30], Values::Fp32(values)).unwrap()],
        outputs: vec![
            Tensor::new("label", vec![1], Values::Int64(vec![1])).unwrap(),
            Tensor::new("probabilities", vec![1, 2], Values::Fp32(vec![0.1, 0.9])).unwrap(),
        ],
    }
}

fn commitments(secret: &RecordSecret, request: &Request) -> Commitments {
    Commitments {
        received: Some(commit(secret, Commitment::Received, &request.received)),
        tensors: Some(commit_tensors(secret, &request.inputs)),
        output: Some(commit_outputs(secret, &request.outputs)),
        reply: Some(commit(secret, Commitment::Reply, &request.reply)),
    }
}

fn record(id: DecisionId, at: Stamp, commitments: Commitments) -> Record<'static> {
    let digest = Some(Digest([7; 32]));
    let digests = Digests { policy: digest, contract: digest, profile: None, snapshot: digest };
    let decision = Decision {
        principal: Some(Pseudonym([1; 16])),
        proof: Some("api-key:k7f3".into()),
        listener: "inference".into(),
        route: "infer".into(),
        protocol: "oip-rest".into(),
        model: Some(ModelRef { name: "cancer".into(), version: 1, digest: Digest([8; 32]) }),
        engine: Some(EngineRef {
            engine: "native".into(),
            version: "1".into(),
            settings: "".into(),
        }),
        digests,
        commitments,
        n_rows: 1,
        policies: Vec::new(),
        obligations: Default::default(),
        durations: Durations {
            read_ns: 9_000,
            admit_ns: 2_000,
            guard_ns: 900,
            predict_ns: 3_000,
            review_ns: 1_500,
        },
        ..Decision::default()
    };
    let body = Body::Decision(Box::new(decision));
    let (environment, replica) = ("demo".into(), "replica-0".into());
    Record { id, at, environment, replica, volatile: false, body }
}

fn seal(sealer: &Sealer, id: DecisionId, day: u32, secret: &RecordSecret, r: &Request) -> Vec<u8> {
    let payload = Payload {
        secret,
        retained: &[],
        received: &r.received,
        outputs: &r.outputs,
        reply: &r.reply,
        principal: Some("team/scoring"),
        subject: None,
        end_user: None,
        purpose: None,
        correlation_id: None,
    };
    sealer.key(payload.subject, day).unwrap().seal(id, &payload, [5; 12]).unwrap()
}

/// Best of 5 rounds, in nanoseconds a call.
fn cost(what: &str, mut act: impl FnMut() -> usize) {
    let mut best = f64::MAX;
    let mut sum = 0;
    for _ in 0..5 {
        let began = Instant::now();
        for _ in 0..N / 5 {
            sum += act();
        }
        best = best.min(began.elapsed().as_nanos() as f64 / f64::from(N / 5));
    }
    println!("{what:<44} {best:>8.0} ns   ({} bytes)", sum / N as usize);
}

/// Appends from `n_clients` closed-loop clients; prints rate, latency and CPU of the process.
fn appends(what: &str, disk: Arc<dyn Disk>, n_clients: u32, leaf: &[u8], sealed: &[u8]) {
    let config = LogConfig { volatile_allowed: true, ..LogConfig::new("bench") };
    let (log, _) = Log::open(disk, &config, Arc::new(SystemClock(Instant::now()))).unwrap();
    let running = log.start().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (began, cpu) = (Instant::now(), cpu_time());
    let per_client = 8_000 / n_clients;
    let mut took: Vec<u64> = std::thread::scope(|scope| {
        let client = |appender: Appender| move || one_client(&appender, per_client, leaf, sealed);
        let clients: Vec<_> =
            (0..n_clients).map(|_| scope.spawn(client(running.appender()))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let (elapsed, cpu) = (began.elapsed(), cpu_time() - cpu);
    took.sort_unstable();
    let n = took.len();
    println!(
        "{what:<28} {n_clients:>3} clients {:>8.0}/s  p50 {:>6} us  p99 {:>6} us  cpu {:>5.1} us/record",
        n as f64 / elapsed.as_secs_f64(),
        took[n / 2] / 1_000,
        took[n * 99 / 100] / 1_000,
        cpu.as_nanos() as f64 / n as f64 / 1_000.0,
    );
    running.stop();
}

fn one_client(appender: &Appender, n: u32, leaf: &[u8], sealed: &[u8]) -> Vec<u64> {
    let (tell, told) = mpsc::channel();
    let mut took = Vec::new();
    for _ in 0..n {
        let began = Instant::now();
        let entry = Entry::new(leaf.to_vec(), sealed.to_vec(), EntryClass::Decision).unwrap();
        let tell = tell.clone();
        appender.append(entry, Box::new(move |answer| tell.send(answer).unwrap())).unwrap();
        told.recv().unwrap().unwrap();
        took.push(began.elapsed().as_nanos() as u64);
    }
    took
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn bare_syncs(disk: &FileDisk, bytes: &[u8]) {
    let mut file = disk.open("probe", true).unwrap();
    file.preallocate(16 << 20).unwrap();
    let mut took = Vec::new();
    for n in 0..4_000_u64 {
        let began = Instant::now();
        file.write_at(bytes, n * bytes.len() as u64).unwrap();
        file.sync().unwrap();
        took.push(began.elapsed().as_nanos() as u64);
    }
    took.sort_unstable();
    let (p50, p99) = (took[2_000] / 1_000, took[3_960] / 1_000);
    println!("bare write and sync, {} bytes: p50 {p50} us, p99 {p99} us", bytes.len());
}

fn main() {
    let (request, clock) = (request(), SystemClock(Instant::now()));
    let entropy = Arc::new(Counter(AtomicU64::new(1)));
    let day = clock.now().day();
    let wrap = Arc::new(FileKeys::new(Arc::new(MemDisk::new()), entropy.clone()));
    let disk = Arc::new(MemDisk::new());
    let keys = SealingKeys::open(disk, wrap, entropy.clone(), day).unwrap();
    let sealer = keys.sealer();
    let secret = RecordSecret::random(&*entropy);
    let id = DecisionId::new(clock.now().wall_ns, entropy::random(&*entropy));
    let commits = commitments(&secret, &request);

    cost("record: build and encode", || record(id, clock.now(), commits).encode().len());
    cost("commit: received", || {
        usize::from(commit(&secret, Commitment::Received, &request.received)[0])
    });
    cost("commit: tensors, 30 cells", || usize::from(commit_tensors(&secret, &request.inputs)[0]));
    cost("commit: all four", || usize::from(commitments(&secret, &request).received.unwrap()[0]));
    cost("seal", || seal(&sealer, id, day, &secret, &request).len());
    let leaf = record(id, clock.now(), commits).encode();
    let sealed = seal(&sealer, id, day, &secret, &request);
    cost("entry: hashes of leaf and sealed", || {
        Entry::new(leaf.clone(), sealed.clone(), EntryClass::Decision).unwrap().len_bytes()
    });
    cost("all of the above", || {
        let leaf = record(id, clock.now(), commitments(&secret, &request)).encode();
        let sealed = seal(&sealer, id, day, &secret, &request);
        Entry::new(leaf, sealed, EntryClass::Decision).unwrap().len_bytes()
    });
    let on_disk = (56 + leaf.len() + sealed.len() + 1).next_multiple_of(8);
    println!(
        "on disk: {on_disk} bytes a decision ({} received, {} replied)",
        request.received.len(),
        request.reply.len()
    );

    let folder = std::env::args().nth(1).unwrap_or_else(|| "/tmp/bartizan-record-cost".to_owned());
    let disk = FileDisk::create(&folder).unwrap();
    bare_syncs(&disk, &vec![7; on_disk]);
    for n_clients in [1, 2, 8, 32] {
        appends("memory", Arc::new(MemDisk::new()), n_clients, &leaf, &sealed);
        let disk = FileDisk::create(format!("{folder}/{n_clients}")).unwrap();
        appends("disk", Arc::new(disk), n_clients, &leaf, &sealed);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
