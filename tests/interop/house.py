"""A Bartizan environment in a folder of its own: made, served, stopped, killed."""

import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
MODELS = sorted(path.parent.name for path in EXAMPLES.glob("*/model.onnx"))
BINARY = os.environ.get("BARTIZAN_BIN", "bartizan")
START_WAIT_S = 30.0
STOP_WAIT_S = 30.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Failed(Exception):
    """A command of Bartizan that did not end with the exit code that was expected."""


class House:
    """One environment. `config` is a table of tables that replaces defaults."""

    def __init__(self, folder, models=("cancer-logistic",), init=(), **config):
        self.folder = pathlib.Path(folder)
        self.process = None
        self.log = None
        self.cli("init", str(self.folder), *init, inside=False)
        self.config = {"inference": {"address": f"127.0.0.1:{free_port()}"}}
        self.configure(**config)
        for model in models:
            example = EXAMPLES / model
            self.cli(
                "model", "add", str(example / "model.onnx"), "--name", model,
                "--contract", str(example / "contract.toml"),
            )
        self.key = self.issue("tester")

    def configure(self, **config):
        for section, keys in config.items():
            if isinstance(keys, list):
                self.config[section] = keys
            else:
                self.config.setdefault(section, {}).update(keys)
        lines = []
        for section, keys in self.config.items():
            head = f"[[{section}]]" if isinstance(keys, list) else f"[{section}]"
            for table in keys if isinstance(keys, list) else [keys]:
                lines.append(head)
                lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        (self.folder / "bartizan.toml").write_text("\n".join(lines) + "\n")

    # ---- commands

    def run(self, *args, inside=True, timeout=60):
        return subprocess.run(
            [BINARY, *args],
            cwd=self.folder if inside else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def cli(self, *args, code=0, inside=True):
        done = self.run(*args, inside=inside)
        if done.returncode != code:
            raise Failed(f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def issue(self, principal, *scopes, lifetime="1d"):
        """A key, by default one that may ask and describe every model."""
        said = self.cli("key", "issue", "--principal", principal, "--for", lifetime, *scopes)
        return said.strip()

    # ---- the server

    @property
    def port(self):
        return int(self.config["inference"]["address"].rsplit(":", 1)[1])

    @property
    def is_tls(self):
        return self.config["inference"].get("tls", "on") == "on"

    @property
    def url(self):
        return f"{'https' if self.is_tls else 'http'}://localhost:{self.port}"

    @property
    def authority(self):
        return str(self.folder / "tls" / "ca.pem")

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.key}"}

    def start(self):
        self.log = open(self.folder / "serve.log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve"], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log,
        )
        end = time.monotonic() + START_WAIT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if self.get("/v2/health/ready").status_code == 200:
                    return self
            except requests.ConnectionError:
                pass
            time.sleep(0.02)
        log = (self.folder / "serve.log").read_text()
        self.kill()
        raise Failed(f"the server did not become ready:\n{log}")

    def stop(self):
        """SIGTERM, then the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        code = self.process.wait(STOP_WAIT_S)
        self.process = None
        self.log.close()
        return code

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.wait()

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    # ---- requests

    def get(self, path, **kwargs):
        return self.ask("GET", path, **kwargs)

    def post(self, path, **kwargs):
        return self.ask("POST", path, **kwargs)

    def ask(self, method, path, session=requests, headers=None, timeout=30, **kwargs):
        headers = self.headers if headers is None else headers
        return session.request(
            method, self.url + path, headers=headers, verify=self.authority, timeout=timeout,
            **kwargs,
        )

    def infer(self, model, rows, session=requests, **kwargs):
        body = infer_body(rows)
        return self.post(f"/v2/models/{model}/infer", session=session, data=body, **kwargs)

    def raw(self, timeout=10):
        """A connected socket, over TLS where the server speaks it."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout)
        if not self.is_tls:
            return plain
        context = ssl.create_default_context(cafile=self.authority)
        context.set_alpn_protocols(["http/1.1"])
        return context.wrap_socket(plain, server_hostname="localhost")


def infer_body(rows):
    """The protocol's JSON for rows of one tensor `features`; NaN is the missing value."""
    data = [None if cell != cell else float(cell) for row in rows for cell in row]
    shape = [len(rows), len(rows[0])]
    tensor = {"name": "features", "shape": shape, "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def request_bytes(path, headers, body, method="POST"):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode() + b"\r\n" + body


def read_all(connection):
    """What the server sends until it hangs up, which it must do before the socket's time-out."""
    chunks = []
    while True:
        try:
            chunk = connection.recv(65536)
        except TimeoutError:
            raise
        except (ConnectionResetError, ssl.SSLError):
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks)


def read_reply(connection):
    """One reply with a Content-Length: status, headers, body; None where the server hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            chunk = connection.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            chunk = b""
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(lines[0].split()[1]), headers, body


def is_refusal(reply, status, code):
    """Whether a reply of `requests` is a refusal in the protocol's own shape."""
    body = reply.json()
    said = (reply.status_code, body.get("code"))
    assert said == (status, code), f"{said}: {reply.text}"
    # Azure ML and MLflow call it a message.
    said = body.get("error", body.get("message"))
    assert isinstance(said, str) and said, reply.text
    return True
