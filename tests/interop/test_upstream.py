"""A model that has not moved: one house asks another one on its callers' behalf."""

import json
import shutil

import pytest

from house import EXAMPLES, House

MODEL = "cancer-logistic"
PROTOCOLS = {
    "oip": ("oip-rest", f"/v2/models/{MODEL}/infer", ""),
    "scored": ("azure-ml", "/score", ""),
    "called": ("oip-grpc", "", f'model = "{MODEL}"'),
    "listed": ("azure-ml", "/score", 'rows = "data"'),
    "invoked": ("mlflow", "/invocations", ""),
}


@pytest.fixture(scope="module")
def inner(tmp_path_factory):
    """The endpoint that has not moved."""
    folder = tmp_path_factory.mktemp("inner") / "env"
    with House(folder, models=[MODEL]) as house:
        yield house


@pytest.fixture(scope="module")
def outer(inner, tmp_path_factory):
    """The house in front of it, which has no model of its own."""
    folder = tmp_path_factory.mktemp("outer") / "env"
    house = House(folder, models=[])
    upstreams = house.folder / "upstreams"
    upstreams.mkdir()
    secret = house.folder / "keys" / "inner.token"
    secret.write_text(inner.key + "\n")
    secret.chmod(0o600)
    shutil.copy(inner.authority, house.folder / "inner-ca.pem")
    contract = (EXAMPLES / MODEL / "contract.toml").read_text()
    (house.folder / "whole.toml").write_text(contract)
    # Azure ML and MLflow answer the label alone.
    label_only = contract.split("[[outputs]]")
    label = next(part for part in label_only[1:] if 'name = "label"' in part)
    (house.folder / "label.toml").write_text(label_only[0] + "[[outputs]]" + label)
    for name, (protocol, path, more) in PROTOCOLS.items():
        file = "whole.toml" if name in ("oip", "called") else "label.toml"
        (upstreams / f"{name}.toml").write_text(
            f'format = 1\nprotocol = "{protocol}"\nurl = "{inner.url}{path}"\n'
            f'contract = "{file}"\ncredential_file = "keys/inner.token"\n'
            f'roots = "inner-ca.pem"\n{more}\n'
        )
    with house:
        yield house


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_upstream_answers_through_every_gate(inner, outer, heldout, name):
    rows = heldout(MODEL)[:8].tolist()
    direct = {out["name"]: out["data"] for out in inner.infer(MODEL, rows).json()["outputs"]}
    reply = outer.infer(name, rows)
    assert reply.status_code == 200, reply.text + (outer.folder / "serve.log").read_text()
    through = {out["name"]: out["data"] for out in reply.json()["outputs"]}
    assert through == {key: direct[key] for key in through}
    record = outer.cli("trace", reply.headers["bartizan-decision"], "--format", "json")
    assert "not replayable: upstream" in record
    assert len(json.loads(record)) > 0
    assert inner.key not in record


def test_what_the_contract_refuses_is_refused_before_the_upstream(outer):
    reply = outer.infer("oip", [[-1.0] * 30])
    assert (reply.status_code, reply.json()["code"]) == (400, "input-refused"), reply.text


def test_an_upstream_that_is_gone_is_a_refusal_on_record(outer, inner, heldout):
    inner.stop()
    try:
        for _ in range(2):
            reply = outer.infer("oip", heldout(MODEL)[:1].tolist())
            assert (reply.status_code, reply.json()["code"]) == (503, "model-unavailable"), reply.text
            assert reply.headers["bartizan-receipt"]
            assert str(inner.port) not in reply.text
    finally:
        inner.start()
    log = (outer.folder / "serve.log").read_text()
    assert "outbound.upstream.failed" in log and inner.key not in log
