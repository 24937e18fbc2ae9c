//! The servers that are measured: started, asked once, stopped when dropped.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    http::{self, Client, Target},
    process,
};
use crate::{tree, venv};

/// How long a server may take to its first answer.
const START_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to stop when asked.
const STOP_WAIT_MAX: Duration = Duration::from_secs(10);
/// One row of the breast-cancer data: 30 features, as a client would write them.
pub const ROW: &str = "17.99,10.38,122.8,1001.0,0.1184,0.2776,0.3001,0.1471,0.2419,0.07871,\
                       1.095,0.9053,8.589,153.4,0.006399,0.04904,0.05373,0.01587,0.03003,0.006193,\
                       25.38,17.33,184.6,2019.0,0.1622,0.6656,0.7119,0.2654,0.4601,0.1189";
/// The model that is measured.
pub const MODEL: &str = "cancer-logistic";

/// A running server.
pub struct Server {
    /// What it is called in tables.
    pub name: &'static str,
    /// Where and what to ask.
    pub target: Target,
    /// From being started to its first answer.
    pub start_ms: f64,
    child: Child,
}

impl Drop for Server {
    /// Asks it to stop, as its operator would, so that it stops its own children; then makes it.
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP_WAIT_MAX && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts `command` and waits for its first answer.
    ///
    /// # Errors
    /// Where it does not start or does not answer in time.
    pub fn start(name: &'static str, mut command: Command, target: Target) -> io::Result<Self> {
        let start = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Self { name, target, start_ms: 0.0, child: command.spawn()? };
        let mut client = Client::new(server.target.clone());
        loop {
            match client.ask() {
                Ok(_) => break,
                Err(error) if START_WAIT_MAX < start.elapsed() => {
                    return Err(io::Error::other(format!("{name} does not answer: {error}")));
                }
                Err(_) => thread::sleep(Duration::from_micros(500)),
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("{name} ended at once: {status}")));
            }
        }
        server.start_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(server)
    }

    /// CPU seconds that it and its children used so far.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn cpu_s(&self) -> io::Result<f64> {
        process::cpu_s(&process::family(self.child.id()))
    }

    /// Memory that it holds, in MiB, its children not counted.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn resident_mib(&self) -> io::Result<f64> {
        process::resident_mib(self.child.id())
    }
}

/// A loopback port that is free now.
///
/// # Errors
/// Where the system has none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The bare echo, plain or with the certificate of an environment.
///
/// # Errors
/// Where it does not start.
pub fn echo(
    name: &'static str,
    program: &Path,
    reply_bytes: usize,
    tls: Option<&Environment>,
    request: Arc<[u8]>,
) -> io::Result<Server> {
    let start = Instant::now();
    let mut command = Command::new(program);
    command.arg(reply_bytes.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(environment) = tls {
        command.arg(environment.folder.join("tls/server.pem"));
        command.arg(environment.folder.join("tls/server.key"));
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    let address = line.trim().strip_prefix("listening on ").and_then(|text| text.parse().ok());
    let address = address.ok_or_else(|| io::Error::other("the echo does not say where it is"))?;
    let tls = tls.map(|environment| http::trusting(&environment.folder.join("tls/ca.pem")));
    let target = Target { address, tls: tls.transpose()?, request };
    let start_ms = start.elapsed().as_secs_f64() * 1e3;
    let server = Server { name, target, start_ms, child };
    Client::new(server.target.clone()).ask()?;
    Ok(server)
}

/// The peer, one worker, in an environment of its own.
///
/// # Errors
/// Where its packages cannot be had or it does not start.
pub fn peer(work: &Path) -> io::Result<Server> {
    let folder = tree::root().join("xtask/peer");
    let python = venv::python("peer", &folder.join("requirements.txt"))?;
    let port = free_port()?;
    let log = fs::File::create(work.join("peer.log"))?;
    let mut command = Command::new(python.with_file_name("azmlinfsrv"));
    command.args(["--entry_script"]).arg(folder.join("score.py"));
    command.args(["--port", &port.to_string()]).current_dir(work);
    command.env("WORKER_COUNT", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("BENCH_MODEL", tree::root().join("examples").join(MODEL).join("model.onnx"));
    command.stderr(log);
    let body = format!("{{\"data\":[[{ROW}]]}}");
    let headers = [("content-type", "application/json")];
    let request = http::request("POST", "/score", &headers, body.as_bytes());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Server::start("peer", command, Target { address, tls: None, request })
}

/// An environment of Bartizan with a key and models.
pub struct Environment {
    /// Its folder.
    pub folder: PathBuf,
    program: PathBuf,
    key: String,
}

/// Where an environment keeps its records, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// On the real disk, in the clear.
    Plain,
    /// On the real disk, over TLS.
    Tls,
    /// In memory, in the clear.
    Memory,
}

impl Environment {
    /// Makes one in `folder` with the measured model under each of `names`.
    ///
    /// # Errors
    /// Where a command of Bartizan fails.
    pub fn make(program: &Path, folder: &Path, names: &[String]) -> io::Result<Self> {
        let mut environment =
            Self { folder: folder.to_owned(), program: program.to_owned(), key: String::new() };
        environment.run(&["init", &folder.to_string_lossy()])?;
        let example = tree::root().join("examples").join(MODEL);
        let (model, contract) = (example.join("model.onnx"), example.join("contract.toml"));
        for name in names {
            let (model, contract) = (model.to_string_lossy(), contract.to_string_lossy());
            let args = ["model", "add", &model, "--name", name, "--contract", &contract];
            environment.run(&args)?;
        }
        let issued = environment.run(&["key", "issue", "--principal", "bench", "--for", "1d"])?;
        issued.trim().clone_into(&mut environment.key);
        Ok(environment)
    }

    fn run(&self, args: &[&str]) -> io::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null());
        if self.folder.exists() {
            command.current_dir(&self.folder);
        }
        let output = command.output()?;
        if !output.status.success() {
            let (said, args) = (String::from_utf8_lossy(&output.stderr), args.join(" "));
            return Err(io::Error::other(format!("bartizan {args} failed: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Serves it.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn serve(&self, name: &'static str, setting: Setting) -> io::Result<Server> {
        let port = free_port()?;
        let tls = if setting == Setting::Tls { "on" } else { "off" };
        let (disk, volatile) = match setting {
            Setting::Memory => ("memory", true),
            Setting::Plain | Setting::Tls => ("file", false),
        };
        let config = format!(
            "[inference]\naddress = \"127.0.0.1:{port}\"\ntls = \"{tls}\"\n\
             [ledger]\ndisk = \"{disk}\"\nvolatile = {volatile}\n"
        );
        fs::write(self.folder.join("bartizan.toml"), config)?;
        let mut command = Command::new(&self.program);
        command.arg("serve").current_dir(&self.folder);
        command.stderr(fs::File::create(self.folder.join("serve.log"))?);
        let authority = self.folder.join("tls/ca.pem");
        let tls = (setting == Setting::Tls).then(|| http::trusting(&authority)).transpose()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Server::start(name, command, Target { address, tls, request: self.request(MODEL) })
    }

    /// A request for one row of a model.
    pub fn request(&self, model: &str) -> Arc<[u8]> {
        let authorization = format!("Bearer {}", self.key);
        let body = format!(
            "{{\"inputs\":[{{\"name\":\"features\",\"shape\":[1,30],\"datatype\":\"FP32\",\
             \"data\":[{ROW}]}}]}}"
        );
        let headers =
            [("content-type", "application/json"), ("authorization", authorization.as_str())];
        let path = format!("/v2/models/{model}/infer");
        http::request("POST", &path, &headers, body.as_bytes())
    }

    /// Bytes that its log holds: up to the last byte written, preallocated zeroes not counted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn log_bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        let mut folders = vec![self.folder.join("store")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    let content = fs::read(&path)?;
                    bytes += content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                }
            }
        }
        Ok(bytes as u64)
    }
}
