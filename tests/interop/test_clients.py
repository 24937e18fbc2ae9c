"""Real clients, unchanged: tritonclient, requests, curl."""

import json
import subprocess

import gevent.ssl
import numpy
import pytest
import requests
import tritonclient.http
from tritonclient.utils import InferenceServerException

from house import infer_body, is_refusal

MODEL = "cancer-logistic"


@pytest.fixture
def triton(house):
    client = tritonclient.http.InferenceServerClient(
        f"localhost:{house.port}",
        ssl=True,
        ssl_options={"ca_certs": house.authority},
        ssl_context_factory=gevent.ssl.create_default_context,
    )
    yield client
    client.close()


def tensor(rows, width=30):
    given = tritonclient.http.InferInput("features", [len(rows), width], "FP32")
    given.set_data_from_numpy(numpy.asarray(rows, dtype=numpy.float32), binary_data=False)
    return [given]


def wanted():
    names = ["label", "probabilities"]
    return [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in names]


def test_tritonclient_sees_health_without_and_metadata_with_a_key(house, triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready(MODEL, headers=house.headers)
    assert triton.get_server_metadata(headers=house.headers)["name"] == "bartizan"
    metadata = triton.get_model_metadata(MODEL, headers=house.headers)
    assert metadata["inputs"][0]["name"] == "features"
    assert metadata["inputs"][0]["datatype"] == "FP32"
    assert metadata["inputs"][0]["shape"] == [-1, 30]
    assert [output["name"] for output in metadata["outputs"]] == ["label", "probabilities"]


def test_tritonclient_infers_with_json(house, triton, heldout):
    rows = heldout(MODEL)[:2]
    answer = triton.infer(
        MODEL, tensor(rows), outputs=wanted(), headers=house.headers, request_id="seven"
    )
    assert answer.get_response()["id"] == "seven"
    assert answer.as_numpy("label").shape == (2,)
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.shape == (2, 2)
    assert numpy.allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_tritonclient_reads_the_reason_of_a_refusal(house, triton, heldout):
    """Every error is the protocol's own object, else this client throws a decode error."""
    for rows, width, word in [(heldout(MODEL)[:1, :29], 29, "features")]:
        with pytest.raises(InferenceServerException) as refused:
            triton.infer(MODEL, tensor(rows, width), headers=house.headers)
        assert word in refused.value.message(), refused.value.message()
    with pytest.raises(InferenceServerException) as refused:
        triton.infer("no-such-model", tensor(heldout(MODEL)[:1]), headers=house.headers)
    assert "model" in refused.value.message()
    with pytest.raises(InferenceServerException) as refused:
        triton.infer(MODEL, tensor(heldout(MODEL)[:1]))
    assert "credential" in refused.value.message()


def test_requests_keeps_one_connection_and_gets_a_receipt(house, heldout):
    rows = heldout(MODEL)[:1].tolist()
    seen = set()
    with requests.Session() as session:
        for _ in range(3):
            reply = house.infer(MODEL, rows, session=session)
            assert reply.status_code == 200, reply.text
            assert reply.raw.version == 11
            assert reply.json()["model_name"] == MODEL
            assert ";index=" in reply.headers["bartizan-receipt"]
            seen.add(reply.headers["bartizan-decision"])
    assert len(seen) == 3


def test_a_body_needs_no_content_type_and_may_be_nested(house, heldout):
    row = [float(cell) for cell in heldout(MODEL)[0]]
    flat = house.infer(MODEL, [row]).json()["outputs"]
    nested = {"inputs": [{"name": "features", "shape": [1, 30], "datatype": "FP32", "data": [row]}]}
    reply = house.post(f"/v2/models/{MODEL}/infer", data=json.dumps(nested).encode())
    assert reply.json()["outputs"] == flat
    versioned = house.post(f"/v2/models/{MODEL}/versions/1/infer", data=infer_body([row]))
    assert versioned.json()["outputs"] == flat
    assert is_refusal(house.post(f"/v2/models/{MODEL}/infer"), 400, "malformed")


@pytest.mark.parametrize("flag, version", [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_speaks_both_versions_of_http(house, heldout, tmp_path, flag, version):
    body = tmp_path / "body.json"
    body.write_bytes(infer_body(heldout(MODEL)[:1].tolist()))
    key = tmp_path / "key"
    key.write_text(f"Authorization: Bearer {house.key}\n")
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", flag, "--cacert", house.authority,
         "--header", f"@{key}", "--data-binary", f"@{body}", "--write-out", "\n%{http_version}",
         f"{house.url}/v2/models/{MODEL}/infer"],
        capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer, spoken = done.stdout.rsplit("\n", 1)
    assert spoken == version
    assert len(json.loads(answer)["outputs"]) == 2


@pytest.mark.parametrize("flag", ["--tlsv1.2", "--tlsv1.3"])
def test_curl_speaks_both_versions_of_tls(house, flag):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", flag, "--tls-max", flag[-3:],
         "--cacert", house.authority, f"{house.url}/v2/health/live"],
        capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == 0, done.stderr


def test_a_client_that_does_not_know_the_authority_gets_nothing(house):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{house.url}/v2/health/live", timeout=30)
