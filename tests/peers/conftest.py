"""Real servers of one small model, and a house in front of them that has no model of its own."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import joblib
import mlflow.sklearn
import numpy
import pytest
import requests
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))

from house import House, free_port  # noqa: E402

START_WAIT_S = 120
COLUMNS = ["a", "b", "c", "d"]
CONTRACT = """
format = 1
[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 4]
{features}
[[outputs]]
name = "predict"
datatype = "INT64"
shape = {shape}
role = "label"
"""


def contract(shape):
    features = "\n".join(f'[[inputs.features]]\nname = "{name}"' for name in COLUMNS)
    return CONTRACT.format(features=features, shape=shape)


class Peer:
    """A server in a process group of its own."""

    def __init__(self, command, folder, url):
        self.url = url
        self.log = open(folder / "peer.log", "ab")
        # `mlflow` starts a server of its own environment by name.
        path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True, env=environment,
        )
        end = time.monotonic() + START_WAIT_S
        while True:
            assert self.process.poll() is None and time.monotonic() < end, (
                (folder / "peer.log").read_text()[-4000:]
            )
            try:
                if requests.get(url("ready"), timeout=2).status_code == 200:
                    break
            except requests.RequestException:
                pass
            time.sleep(0.2)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def model():
    rows = numpy.random.default_rng(1).normal(size=(200, 4)).astype(numpy.float32)
    return LogisticRegression().fit(rows, (rows[:, 0] > 0).astype(numpy.int64))


@pytest.fixture(scope="session")
def rows():
    return numpy.random.default_rng(2).normal(size=(7, 4)).astype(numpy.float32)


@pytest.fixture(scope="session")
def mlserver(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlserver")
    joblib.dump(model, folder / "model.joblib")
    http, grpc, metrics = free_port(), free_port(), free_port()
    settings = {
        "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics,
        "parallel_workers": 0,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    served = {
        "name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "inputs": inputs,
        "parameters": {"uri": "./model.joblib", "version": "v7"},
    }
    (folder / "model-settings.json").write_text(json.dumps(served))
    binary = pathlib.Path(sys.executable).with_name("mlserver")
    base = f"http://127.0.0.1:{http}"
    url = {"ready": f"{base}/v2/models/m/ready", "rest": base, "grpc": f"http://127.0.0.1:{grpc}"}
    peer = Peer([binary, "start", "."], folder, url.__getitem__)
    yield peer
    peer.stop()


@pytest.fixture(scope="session")
def mlflow_server(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.sklearn.save_model(model, folder / "model", serialization_format="cloudpickle")
    port = free_port()
    binary = pathlib.Path(sys.executable).with_name("mlflow")
    base = f"http://127.0.0.1:{port}"
    url = {"ready": f"{base}/ping", "invocations": f"{base}/invocations"}
    command = [
        binary, "models", "serve", "--model-uri", "model", "--port", str(port), "--host",
        "127.0.0.1", "--env-manager", "local", "--workers", "1",
    ]
    peer = Peer(command, folder, url.__getitem__)
    yield peer
    peer.stop()


@pytest.fixture(scope="session")
def house(mlserver, mlflow_server, tmp_path_factory):
    """The house in front of them."""
    house = House(
        tmp_path_factory.mktemp("house") / "env", models=[], score={"model": "invoked"},
    )
    (house.folder / "upstreams").mkdir()
    (house.folder / "column.toml").write_text(contract("[-1, 1]"))
    (house.folder / "list.toml").write_text(contract("[-1]"))
    for name, text in {
        "rested": f'protocol = "oip-rest"\nurl = "{mlserver.url("rest")}/v2/models/m/infer"\n'
                  'contract = "column.toml"',
        "called": f'protocol = "oip-grpc"\nurl = "{mlserver.url("grpc")}"\nmodel = "m"\n'
                  'contract = "column.toml"',
        "invoked": f'protocol = "mlflow"\nurl = "{mlflow_server.url("invocations")}"\n'
                   'contract = "list.toml"',
    }.items():
        (house.folder / "upstreams" / f"{name}.toml").write_text(f"format = 1\n{text}\n")
    with house:
        yield house


