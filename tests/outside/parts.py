"""What a server's outside is made of: witnesses and a time-stamping authority, as processes."""

import http.server
import pathlib
import signal
import subprocess
import threading
import time

from c2sp import Key
from house import BINARY, House, free_port

MODEL = "cancer-logistic"
ROW = [[1.0] * 30]


class Witness:
    """`bartizan witness` in a folder of its own."""

    def __init__(self, folder, name, port=None):
        self.folder, self.port, self.process = pathlib.Path(folder), port or free_port(), None
        made = subprocess.run(
            [BINARY, "witness", "init", str(folder), "--name", name],
            capture_output=True, text=True, check=True,
        )
        self.key = Key(made.stdout.strip())

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def know(self, *keys):
        lines = [f"log {key.text}\n" for key in keys]
        (self.folder / "policy").write_text("".join(lines) + "quorum none\n")

    def start(self):
        log = open(self.folder / "serve.log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "witness", "serve", str(self.folder), "--address", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        wait_for(lambda: "Witness of" in (self.folder / "serve.log").read_text())
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0
        self.process = None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def sizes(self):
        said = subprocess.run(
            [BINARY, "witness", "status", str(self.folder)],
            capture_output=True, text=True, check=True,
        )
        rows = [line.split("\t") for line in said.stdout.splitlines()]
        return {origin: None if size == "-" else int(size) for size, origin in rows}


def wait_for(condition, limit_s=30.0):
    """Waits for what must come; the limit is only met by a test that fails."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to be in time")


def log_key(house):
    """The key that the house's log signs with, as its first line of `keys/log.key` has it."""
    return Key.of_private((house.folder / "keys" / "log.key").read_text().splitlines()[0])


def policy(house, witnesses, least, path="policy"):
    """Writes a policy of `least` of `witnesses` into the house's folder."""
    lines = [f"log {log_key(house).text}"]
    for at, witness in enumerate(witnesses):
        lines.append(f"witness w{at} {witness.key.text} {witness.url}")
    names = " ".join(f"w{at}" for at in range(len(witnesses)))
    lines += [f"group all {least} {names}", "quorum all"]
    (house.folder / path).write_text("\n".join(lines) + "\n")


CNF = """
[tsa]
default_tsa = this
[this]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[stamping]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


class Authority:
    """A real `openssl ts` authority behind a few lines of HTTP."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.mood = "good"
        (self.folder / "tsa.cnf").write_text(CNF.format(folder=self.folder))
        (self.folder / "serial").write_text("01")
        self.make("root", "root")
        self.make("tsa", "stamping", issuer="root")
        self.make("stranger", "root")
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                query = self.rfile.read(int(self.headers["content-length"]))
                status, reply = authority.answer(query)
                self.send_response(status)
                self.send_header("content-type", "application/timestamp-reply")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/tsa"

    @property
    def root(self):
        return self.folder / "root.pem"

    def openssl(self, *args):
        done = subprocess.run(["openssl", *args], cwd=self.folder, capture_output=True)
        assert done.returncode == 0, (args, done.stderr.decode())
        return done.stdout

    def make(self, name, section, issuer=None):
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        by = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"] if issuer else ["-key", f"{name}.key"]
        self.openssl(
            "x509", "-req", "-in", f"{name}.csr", "-days", "30", "-extfile", "tsa.cnf",
            "-extensions", section, *by, "-out", f"{name}.pem",
        )

    def answer(self, query):
        if self.mood == "down":
            return 503, b""
        if self.mood == "replay":
            return 200, self.last
        (self.folder / "query.tsq").write_bytes(query)
        self.openssl(
            "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-inkey", "tsa.key",
            "-signer", "tsa.pem", "-out", "reply.tsr",
        )
        self.last = (self.folder / "reply.tsr").read_bytes()
        return 200, self.last
