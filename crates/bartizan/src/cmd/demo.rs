//! `bartizan demo`: real models and real rows, over TLS, with everything on.

mod acts;
mod client;
mod examples;
mod plan_act;
mod scan_act;
mod vet_act;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bartizan_access::{ModelScope, Scopes};
use bartizan_wire::oip;

use super::serve::{self, url};
use super::{Failure, Outcome, model, world};
use crate::answer::Answer;
use crate::assemble;
use crate::environment::Environment;
use crate::files;
use crate::log;
use examples::Example;

/// How long the demo's keys live, in seconds.
const KEYS_LIFETIME_S: u64 = 24 * 3_600;

/// Arguments of `bartizan demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The demo's folder; an earlier demo in it is replaced
    #[arg(default_value = "bartizan-demo")]
    dir: PathBuf,
    /// End after the last act instead of serving on
    #[arg(long)]
    once: bool,
}

/// What the acts share.
pub(crate) struct Stage<'a> {
    root: &'a Path,
    address: SocketAddr,
    ca_pem: &'a [u8],
    key: &'a str,
    narrow_key: &'a str,
    examples: &'a [Example],
}

/// Runs `bartizan demo`.
///
/// # Errors
/// The first thing that does not go as it should.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    clear_earlier(&args.dir)?;
    act(out, 1, "An environment: configuration, keys, certificates for localhost, a ledger")?;
    let environment = serve::make_temporary(&args.dir, serve::free_loopback_port()?)?;
    log::start(&environment.config().log);
    // As it was named, so that what is printed can be pasted from here.
    let root = args.dir.clone();
    writeln!(out, "Made in {}. Keys and certificates end in 24 hours.", root.display())?;
    if environment.config().ledger.volatile {
        writeln!(out, "This disk forgets when the power goes; every record says so.")?;
    }
    act(out, 2, "Four models, trained on public data (see examples/README.md)")?;
    let examples = examples::unpack(&root.join("examples"))?;
    for example in &examples {
        let file = model::FileArgs::of(&example.model_file, Some(&example.contract_file));
        let row = model::add(&file, example.name.clone(), None, &root)?;
        writeln!(out, "Added {} version {}", row.name, row.version)?;
    }
    let running = assemble::start(environment, world()).map_err(Failure::unknown)?;
    let (key, narrow_key) = keys(&running, &examples)?;
    files::replace(&root.join("key.txt"), key.as_bytes()).map_err(Failure::unknown)?;
    let ca_pem = fs::read(root.join("tls").join("ca.pem"))?;
    let url = url(&running);
    writeln!(out, "Serving them on {url}")?;
    let stage = Stage {
        root: &root,
        address: running.address(),
        ca_pem: &ca_pem,
        key: &key,
        narrow_key: &narrow_key,
        examples: &examples,
    };
    play(&stage, out)?;
    closing(&root, &url, &examples[0], out)?;
    if args.once {
        running.stop();
        return Ok(Answer::Yes);
    }
    writeln!(out, "\nServing until Ctrl-C.")?;
    out.flush()?;
    serve::until_told(&running)?;
    running.stop();
    Ok(Answer::Yes)
}

fn play(stage: &Stage<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    act(out, 3, "Real rows that no model was trained on")?;
    let last = acts::rows(stage, out)?;
    act(out, 4, "One of these decisions, in full")?;
    writeln!(out, "$ bartizan -e {} trace {last}", stage.root.display())?;
    acts::trace(stage, &last, out)?;
    act(out, 5, "Requests that are refused, one of each kind")?;
    acts::refusals(stage, out)?;
    act(out, 6, "A tampered log")?;
    acts::tamper(stage, out)?;
    act(out, 7, "What it costs")?;
    acts::cost(stage, out)?;
    act(out, 8, "A plan of a private cluster whose ranges collide")?;
    plan_act::play(stage.root, out)?;
    act(out, 9, "A poisoned data set")?;
    vet_act::play(stage.root, out)?;
    act(out, 10, "A hostile model, and one that may be loaded")?;
    scan_act::play(stage.root, out)
}

fn act(out: &mut dyn Write, number: u32, title: &str) -> Result<(), Failure> {
    let (start, end) = if log::is_colourful() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    writeln!(out, "\n{start}{number}. {title}{end}\n")?;
    out.flush()?;
    Ok(())
}

/// Removes an earlier demo. Anything else in the way stays, and is said.
fn clear_earlier(dir: &Path) -> Result<(), Failure> {
    if !dir.exists() {
        return Ok(());
    }
    let is_empty = fs::read_dir(dir)?.next().is_none();
    if is_empty {
        return Ok(());
    }
    match Environment::open(dir) {
        Ok(earlier) if earlier.config().environment.temporary => {
            let Some(_lock) = serve::try_lock(&earlier) else {
                let dir = dir.display();
                return Err(Failure::no(format!(
                    "a demo is being served from `{dir}`; stop it first"
                )));
            };
            fs::remove_dir_all(dir)?;
            Ok(())
        }
        Ok(_) | Err(_) => {
            let dir = dir.display();
            Err(Failure::no(format!("`{dir}` is there and no demo; name another folder")))
        }
    }
}

fn keys(running: &assemble::Running, examples: &[Example]) -> Result<(String, String), Failure> {
    let all = Scopes::inference(ModelScope::All);
    let first = ModelScope::Some([examples[0].name.clone()].into());
    let key = serve::issue(running, "demo", all, KEYS_LIFETIME_S)?;
    let narrow = serve::issue(running, "demo-narrow", Scopes::inference(first), KEYS_LIFETIME_S)?;
    Ok((key, narrow))
}

fn closing(root: &Path, url: &str, example: &Example, out: &mut dyn Write) -> Result<(), Failure> {
    let body = example.body(&example.row(0))?;
    files::replace(&root.join("request.json"), &body).map_err(Failure::unknown)?;
    let (describe, infer) = (oip::model_path(&example.name), oip::infer_path(&example.name));
    let root = root.display();

    act(out, 11, "Your turn")?;
    writeln!(out, "Ask the same server yourself:")?;
    writeln!(
        out,
        "  curl --cacert {root}/tls/ca.pem -H \"Authorization: Bearer $(cat {root}/key.txt)\" \\"
    )?;
    writeln!(out, "    {url}{describe}")?;
    writeln!(
        out,
        "  curl --cacert {root}/tls/ca.pem -H \"Authorization: Bearer $(cat {root}/key.txt)\" \\"
    )?;
    writeln!(out, "    --data @{root}/request.json {url}{infer} -i")?;
    writeln!(out, "Serve a model of your own:")?;
    writeln!(out, "  bartizan init my-environment")?;
    writeln!(out, "  bartizan -e my-environment model add MODEL.onnx")?;
    writeln!(out, "  bartizan -e my-environment serve")?;
    Ok(())
}
