"""What answers wait for over gRPC, and the tensors that `ledger verify` reads again."""

import base64
import json
import sys

import grpc
import numpy
import pytest
import tritonclient.grpc
import tritonclient.grpc.service_pb2 as pb
import tritonclient.http

from house import ROOT, House

sys.path.append(str(ROOT / "tests" / "outside"))
from c2sp import Proof  # noqa: E402
from parts import MODEL, ROW, Witness, log_key, policy  # noqa: E402


def asked_of(house):
    """One inference over gRPC with what its metadata says: initial and trailing in one."""
    tensor = tritonclient.grpc.InferInput("features", [1, 30], "FP32")
    tensor.set_data_from_numpy(numpy.asarray(ROW, dtype=numpy.float32))
    request = pb.ModelInferRequest(model_name=MODEL)
    request.inputs.extend([tensor._get_tensor()])
    request.raw_input_contents.extend([tensor._get_content()])
    with open(house.authority, "rb") as roots:
        secure = grpc.ssl_channel_credentials(roots.read())
    with grpc.secure_channel(f"localhost:{house.port}", secure) as channel:
        ask = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        metadata = (("authorization", f"Bearer {house.key}"),)
        reply, call = ask.with_call(request, metadata=metadata, timeout=30)
        said = {**dict(call.initial_metadata() or ()), **dict(call.trailing_metadata() or ())}
        return reply, said


def parts_of(receipt):
    index = int(receipt.split(";index=")[1].split(";")[0])
    leaf = base64.b64decode(receipt.split(";leaf=:")[1].split(":")[0])
    return index, leaf


def test_a_published_answer_over_grpc_is_covered_when_it_comes(tmp_path):
    with House(tmp_path / "env", models=[MODEL], ack={"default": "published"}) as house:
        for _ in range(3):
            reply, said = asked_of(house)
            assert len(reply.outputs) >= 1 and "bartizan-proof" not in said
            index, _ = parts_of(said["bartizan-receipt"])
            size = int((house.folder / "store/tlog/checkpoint").read_text().split("\n")[1])
            assert index < size


def test_a_witnessed_answer_over_grpc_carries_its_proof_as_metadata(tmp_path):
    witness = Witness(tmp_path / "w0", "w0.example/witness")
    house = House(tmp_path / "env", models=[MODEL])
    try:
        witness.know(log_key(house))
        witness.start()
        policy(house, [witness], 1)
        house.configure(
            witnesses={"policy": "policy"}, ack={"witnessed": [MODEL]},
            limits={"answer_ms_max": 5_000},
        )
        with house:
            reply, said = asked_of(house)
            assert len(reply.outputs) >= 1
            index, leaf = parts_of(said["bartizan-receipt"])
            text = said["bartizan-proof"]
            assert text[0] == text[-1] == ":"
            proof = Proof(base64.b64decode(text[1:-1]).decode())
            assert proof.root(leaf) == proof.note.root and index < proof.note.size
            assert witness.key.signed(proof.note)
            witness.stop()
            with pytest.raises(grpc.RpcError) as refused:
                asked_of(house)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE, refused.value
    finally:
        witness.kill()


def test_verify_reads_the_tensors_of_every_protocol_again(tmp_path):
    with House(tmp_path / "env", models=[MODEL]) as house:
        assert house.infer(MODEL, ROW).status_code == 200
        asked_of(house)
        binary = tritonclient.http.InferInput("features", [1, 30], "FP32")
        binary.set_data_from_numpy(numpy.asarray(ROW, dtype=numpy.float32), binary_data=True)
        client = tritonclient.http.InferenceServerClient
        body, n_json = client.generate_request_body([binary])
        headers = {**house.headers, "inference-header-content-length": str(n_json)}
        tensors = house.post(f"/v2/models/{MODEL}/infer", data=body, headers=headers)
        azure = {**house.headers, "azureml-model-deployment": MODEL}
        scored = house.post("/score", json={"data": ROW}, headers=azure)
        mlflow = house.post("/invocations", json={"instances": ROW})
        first = house.post(f"/v1/models/{MODEL}:predict", json={"instances": ROW})
        for reply in (tensors, scored, mlflow, first):
            assert reply.status_code == 200, (reply.request.url, reply.text)
    report = json.loads(house.cli("ledger", "verify", "--format", "json"))
    assert (report["n_tensors"], report["n_tensors_unchecked"]) == (6, 0), report
    # Without the contract tables cannot be read: said, by protocol.
    contract = next((house.folder / "models").rglob("contract.toml"))
    contract.rename(contract.with_suffix(".away"))
    report = json.loads(house.cli("ledger", "verify", "--format", "json"))
    assert report["tensors_unchecked"] == {"azure-ml": 1, "kserve-v1": 1, "mlflow": 1}, report
