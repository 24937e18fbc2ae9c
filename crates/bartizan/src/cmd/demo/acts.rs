//! What the demo shows, one function an act.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use bartizan_wire::oip;

use super::Stage;
use super::client::{Answered, Client};
use super::examples::Example;
use crate::cmd::{Failure, Format, Place, ledger, trace};
use crate::render::table::Table;

/// Rows that are asked about of each model.
const ROWS_SHOWN: usize = 4;
/// Requests by which the cost of a decision is measured.
const MEASURED: usize = 4_000;
/// Connections that send them.
const MEASURED_CONNECTIONS: usize = 8;

/// Real rows, which no model was trained on: what the models say, and what is true. Gives the
/// header with the id of the last decision.
pub(crate) fn rows(stage: &Stage<'_>, out: &mut dyn Write) -> Result<String, Failure> {
    let mut client = stage.client()?;
    let mut table = Table::new(&["MODEL", "ROW", "ANSWER", "TRUTH", "LATENCY", "DECISION"]);
    let (mut right, mut last) = (0, String::new());
    for example in stage.examples {
        for row_idx in 0..ROWS_SHOWN {
            let body = example.body(&example.row(row_idx))?;
            let answered = stage.ask(&mut client, example, &body)?;
            let (answer, truth) = (example.answer(&answered.body), example.truth(row_idx));
            right += usize::from(answer == truth);
            last = answered.header("bartizan-decision").to_owned();
            let name = example.name.to_string();
            let took = format!("{} us", answered.took.as_micros());
            table.push(vec![name, row_idx.to_string(), answer, truth, took, last.clone()]);
        }
    }
    writeln!(out, "{table}")?;
    let all = stage.examples.len() * ROWS_SHOWN;
    writeln!(out, "{right} of {all} answers are right; a wrong one is a real model's real error.")?;
    Ok(last)
}

/// One decision in full.
pub(crate) fn trace(stage: &Stage<'_>, id: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let id = id.parse().map_err(Failure::unknown)?;
    let place = Place { environment: stage.root.to_owned() };
    trace::run(&trace::Args { id, sealed: false, format: Format::Text }, &place, out)?;
    Ok(())
}

/// One request that is refused, of each kind.
pub(crate) fn refusals(stage: &Stage<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let example = &stage.examples[0];
    let path = stage.infer_path(example);
    let good = example.body(&example.row(0))?;
    let (mut missing, mut beyond) = (example.row(0), example.row(0));
    missing[0] = f32::NAN;
    let (column, value) = example.beyond_limit().unwrap_or((0, f32::INFINITY));
    beyond[column] = value;
    let (key, other_path) = (stage.auth(stage.key), stage.infer_path(&stage.examples[1]));
    let narrow = stage.auth(stage.narrow_key);
    let wrong = stage.auth(&stage.key.replace("bz_", "bz_x"));
    let nobody = "nobody".parse().map_err(Failure::unknown)?;
    let unknown = format!("POST {}", oip::infer_path(&nobody));
    let other_method = format!("PUT {}", oip::SERVER_PATH);
    let text = |text: &str| text.as_bytes().to_vec();
    let longest = format!("x-padding: {}", "x".repeat(20_000));
    let kinds: Vec<(&str, &str, Vec<String>, Vec<u8>)> = vec![
        ("no key", &path, vec![], good.clone()),
        ("a wrong key", &path, vec![wrong], good.clone()),
        ("a key for another model", &other_path, vec![narrow], good.clone()),
        ("an unknown model", &unknown, vec![key.clone()], good.clone()),
        ("a method that is not taken", &other_method, vec![key.clone()], vec![]),
        ("half a document", &path, vec![key.clone()], good[..good.len() / 2].to_vec()),
        ("a key twice in JSON", &path, vec![key.clone()], text(r#"{"id":"a","id":"b"}"#)),
        ("29 values for 30 features", &path, vec![key.clone()], example.body(&missing[1..])?),
        ("a missing value", &path, vec![key.clone()], example.body(&missing)?),
        ("a value beyond its limit", &path, vec![key.clone()], example.body(&beyond)?),
        ("20 kB of headers", &path, vec![key.clone(), longest], good.clone()),
        ("a claim of 1 GiB", &path, vec![key, "content-length: 1073741824".into()], vec![]),
    ];
    let mut table = Table::new(&["REQUEST WITH", "STATUS", "CODE", "WHAT THE CALLER IS TOLD"]);
    let mut of_limit = String::new();
    for (kind, head, headers, body) in kinds {
        // Each on a connection of its own: some end it.
        let answered = stage.client()?.send(head, &headers, &body)?;
        let told = |name: &str| answered.body[name].as_str().unwrap_or("").to_owned();
        let status = answered.status.to_string();
        if kind.contains("limit") {
            of_limit = answered.header("bartizan-decision").to_owned();
        }
        table.push(vec![kind.into(), status, told("code"), told("error")]);
        if answered.status < 400 {
            return Err(Failure::no(format!("a request with {kind} was answered")));
        }
    }
    writeln!(out, "{table}")?;
    writeln!(out, "A caller is never told which guard tripped. The operator is:")?;
    writeln!(out, "$ bartizan -e {} trace --sealed {of_limit}", stage.root.display())?;
    let id = of_limit.parse().map_err(Failure::unknown)?;
    let place = Place { environment: stage.root.to_owned() };
    let mut text = Vec::new();
    trace::run(&trace::Args { id, sealed: true, format: Format::Text }, &place, &mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // What decided, without the digests that the last act has shown already.
    let digest = |line: &&str| line.contains("sha256") || line.contains("(commitment)");
    let lines = text.lines().take_while(|line| !line.starts_with("Recorded"));
    for line in lines.filter(|line| !digest(line)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A copy of the log with one byte changed, and what finds it.
pub(crate) fn tamper(stage: &Stage<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let copy = stage.root.join("tampered-copy");
    let wal = stage.root.join("store").join("wal");
    let copied = copy.join("wal");
    fs::create_dir_all(&copied)?;
    let mut changed = None;
    for entry in fs::read_dir(&wal)? {
        let entry = entry?;
        let mut bytes = fs::read(entry.path())?;
        // Segments are made ahead and full of zeroes: the middle of what is written counts.
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if 4_096 < written && changed.is_none() {
            bytes[written / 2] ^= 1;
            changed = Some((entry.file_name(), written / 2));
        }
        fs::write(copied.join(entry.file_name()), &bytes)?;
    }
    let (name, at) = changed.ok_or_else(|| Failure::unknown("the log holds no record yet"))?;
    writeln!(out, "Changed one bit of byte {at} of wal/{} in a copy.", name.to_string_lossy())?;
    writeln!(out, "$ bartizan ledger verify {}", copy.display())?;
    let place = Place { environment: stage.root.to_owned() };
    let verify = |dir: &Path, out: &mut dyn Write| {
        ledger::run(
            &ledger::Args::Verify {
                dir: Some(dir.to_owned()),
                format: Format::Text,
                policy: None,
                stamp_roots: None,
            },
            &place,
            out,
        )
    };
    if verify(&copy, out)? == crate::answer::Answer::Yes {
        return Err(Failure::no("a changed byte was not found"));
    }
    writeln!(out)?;
    writeln!(out, "$ bartizan ledger verify {}      (the real log)", stage.root.display())?;
    verify(stage.root, out)?;
    fs::remove_dir_all(&copy)?;
    Ok(())
}

/// What a decision costs, over [`MEASURED`] of them.
pub(crate) fn cost(stage: &Stage<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let example = &stage.examples[0];
    let (cpu_before, bytes_before) = (server_cpu_ns()?, written_bytes(stage.root)?);
    let mut took: Vec<Duration> = Vec::with_capacity(MEASURED);
    let bodies = (0..example.n_rows())
        .map(|row| example.body(&example.row(row)))
        .collect::<Result<Vec<_>, _>>()?;
    let bodies = &bodies;
    std::thread::scope(|scope| -> Result<(), Failure> {
        let send = |lane: usize| -> io::Result<Vec<Duration>> {
            let mut client = Client::connect(stage.address, stage.ca_pem)?;
            let (head, key) = (stage.infer_path(example), [stage.auth(stage.key)]);
            (0..MEASURED / MEASURED_CONNECTIONS)
                .map(|n| {
                    let body = &bodies[(n * MEASURED_CONNECTIONS + lane) % bodies.len()];
                    let answered = client.send(&head, &key, body)?;
                    if answered.status != 200 {
                        return Err(io::Error::other(format!("status {}", answered.status)));
                    }
                    Ok(answered.took)
                })
                .collect()
        };
        let lanes: Vec<_> =
            (0..MEASURED_CONNECTIONS).map(|lane| scope.spawn(move || send(lane))).collect();
        for lane in lanes {
            let lane = lane.join().map_err(|_| Failure::unknown("a client failed"))??;
            took.extend(lane);
        }
        Ok(())
    })?;
    took.sort_unstable();
    let n = took.len();
    let cpu_us = (server_cpu_ns()? - cpu_before) as f64 / 1e3 / n as f64;
    let bytes = (written_bytes(stage.root)? - bytes_before) as f64 / n as f64;
    let at = |share: f64| took[((n - 1) as f64 * share) as usize].as_micros();
    writeln!(out, "{n} decisions over {MEASURED_CONNECTIONS} TLS connections, 30 features each:")?;
    writeln!(
        out,
        "  {cpu_us:.1} us of CPU a decision (TLS, key, contract, model, sealed record, sync)"
    )?;
    writeln!(out, "  {bytes:.0} bytes on disk a decision")?;
    writeln!(
        out,
        "  latency p50 {} us, p99 {} us, with the clients on the same cores",
        at(0.5),
        at(0.99)
    )?;
    Ok(())
}

/// CPU time of the server's threads so far, in nanoseconds: the demo's own clients, which live in
/// the same process, do not count.
fn server_cpu_ns() -> Result<u64, Failure> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?;
        if name.starts_with("lane-") || name.starts_with("ledger-") {
            let stat = fs::read_to_string(task.join("schedstat"))?;
            sum += stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        }
    }
    Ok(sum)
}

/// Bytes of the log that are written, without what is preallocated.
fn written_bytes(root: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in fs::read_dir(root.join("store").join("wal"))? {
        let bytes = fs::read(entry?.path())?;
        sum += bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    }
    Ok(sum)
}

impl Stage<'_> {
    /// A connection as any caller would have it.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(self.address, self.ca_pem)?)
    }

    fn infer_path(&self, example: &Example) -> String {
        format!("POST {}", oip::infer_path(&example.name))
    }

    fn auth(&self, key: &str) -> String {
        format!("authorization: Bearer {key}")
    }

    fn ask(
        &self,
        client: &mut Client,
        example: &Example,
        body: &[u8],
    ) -> Result<Answered, Failure> {
        let answered = client.send(&self.infer_path(example), &[self.auth(self.key)], body)?;
        if answered.status == 200 {
            Ok(answered)
        } else {
            Err(Failure::no(format!("`{}` answered {}", example.name, answered.status)))
        }
    }
}
