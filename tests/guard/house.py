"""One environment with one example model and its profile, served on loopback."""

import json
import os
import pathlib
import socket
import subprocess
import time

import numpy
import pyarrow.parquet
import requests

BINARY = os.environ["BARTIZAN_BIN"]
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
START_WAIT_S = 30
# Features of digits lie in 0 to 16; of the cancer data each has its own span.
CLASSES = {"digits-mlp": 10, "cancer-logistic": 2}


class Stopped(Exception):
    """The guard refused: what an attack ends with."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


def rows_of(example, which):
    """Features and labels of an example's rows."""
    table = pyarrow.parquet.read_table(EXAMPLES / example / f"{which}.parquet")
    names = [name for name in table.column_names if name not in ("target", "label")]
    features = numpy.column_stack([table[name].to_numpy() for name in names])
    return features.astype(numpy.float32)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class House:
    """`mode` is `enforce`, `observe`, or `open` for a model without a profile."""

    def __init__(self, folder, example, mode, **guard):
        self.folder, self.example, self.mode = folder, example, mode
        self.model = example
        self.port = free_port()
        self.cli("init", str(folder), "--volatile", inside=False)
        settings = {"mode": "observe" if mode == "open" else mode, **guard}
        text = (folder / "bartizan.toml").read_text()
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        text = "\n".join(lines)
        text = self.set(text, "inference", {"address": f"127.0.0.1:{self.port}", "tls": "off"})
        text = self.set(text, "guard", settings)
        (folder / "bartizan.toml").write_text(text)
        source = EXAMPLES / example
        brought = [str(source / "model.onnx"), "--contract", str(source / "contract.toml")]
        more = []
        if mode != "open":
            profile = folder / "profile.json"
            self.cli("guard", "fit", *brought, "--reference", str(source / "reference.parquet"),
                     "--out", str(profile))
            more = ["--profile", str(profile)]
        self.cli("model", "add", *brought, "--name", self.model, *more)
        self.session = requests.Session()
        self.start()
        self.lowest, self.span = self.scale()

    @staticmethod
    def set(text, section, values):
        """`text` with `values` in a section, which loses what it set before."""
        kept, skipping = [], False
        for line in text.splitlines():
            if line.startswith("["):
                skipping = line == f"[{section}]"
            if not skipping:
                kept.append(line)
        kept.append(f"[{section}]")
        kept += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        return "\n".join(kept) + "\n"

    def scale(self):
        rows = numpy.concatenate([rows_of(self.example, "reference"), rows_of(self.example, "heldout")])
        lowest, highest = rows.min(0), rows.max(0)
        if self.example.startswith("digits"):
            lowest, highest = numpy.zeros(64), numpy.full(64, 16.0)
        return lowest, numpy.where(highest > lowest, highest - lowest, 1.0)

    def run(self, *args, inside=True):
        return subprocess.run(
            [BINARY, *args], cwd=self.folder if inside else None, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120,
        )

    def cli(self, *args, inside=True):
        done = self.run(*args, inside=inside)
        assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def issue(self, principal):
        return self.cli("key", "issue", "--principal", principal, "--for", "1d")

    def start(self):
        self.log = open(self.folder / "serve.log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve"], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log,
        )
        end = time.monotonic() + START_WAIT_S
        while time.monotonic() < end:
            assert self.process.poll() is None, (self.folder / "serve.log").read_text()
            try:
                if self.session.get(f"{self.url}/v2/health/ready", timeout=2).status_code == 200:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.05)
        raise AssertionError("the server did not start: " + (self.folder / "serve.log").read_text())

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0
        self.log.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, key, rows, headers=()):
        """The response to rows in the model's own units."""
        rows = numpy.asarray(rows, dtype=numpy.float32)
        tensor = {"name": "features", "shape": list(rows.shape), "datatype": "FP32",
                  "data": [float(x) for x in rows.ravel()]}
        return self.session.post(
            f"{self.url}/v2/models/{self.model}/infer", json={"inputs": [tensor]},
            headers={"Authorization": f"Bearer {key}", **dict(headers)}, timeout=20,
        )


class Client:
    """One identity that asks in scaled units, row by row, and counts."""

    def __init__(self, server, key):
        self.server, self.key = server, key
        self.n_rows = 0
        self.status = None
        self.rows_max = 0
        # The victim's row and class, and the nearest answered row of another class.
        self.victim, self.own_class, self.nearest = None, None, numpy.inf

    def aim(self, victim):
        self.victim = victim
        self.own_class = int(self.predict(victim[None]).argmax())

    def predict(self, rows):
        n_classes = CLASSES[self.server.example]
        found = []
        for row in numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), -1):
            if self.rows_max and self.n_rows >= self.rows_max:
                raise Stopped("budget")
            self.n_rows += 1
            exact = self.server.lowest + numpy.clip(row, 0, 1) * self.server.span
            response = self.server.ask(self.key, exact[None])
            if response.status_code != 200:
                self.status = response.status_code
                raise Stopped(response.status_code)
            outputs = {out["name"]: out["data"] for out in response.json()["outputs"]}
            label = int(outputs["label"][0])
            scores = outputs.get("probabilities")
            if scores is None:
                scores = numpy.eye(n_classes)[label]
            found.append(scores)
            if self.victim is not None and self.own_class is not None and label != self.own_class:
                distance = float(numpy.linalg.norm(numpy.clip(row, 0, 1) - self.victim.ravel()))
                self.nearest = min(self.nearest, distance)
        return numpy.asarray(found, dtype=numpy.float32)
