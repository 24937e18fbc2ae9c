"""The whole protocol with NVIDIA's own client: JSON and raw tensors, HTTP and gRPC, sync and not."""

import asyncio
import itertools
import json
import pathlib
import queue
import struct

import gevent.ssl
import grpc
import numpy
import pytest
import requests
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.grpc.model_config_pb2
import tritonclient.grpc.service_pb2 as pb
import tritonclient.http
from tritonclient.utils import InferenceServerException

from house import House, free_port, is_refusal

MODEL = "cancer-logistic"
NAMES = ["label", "probabilities"]


@pytest.fixture
def http(house):
    client = tritonclient.http.InferenceServerClient(
        f"localhost:{house.port}", ssl=True, ssl_options={"ca_certs": house.authority},
        ssl_context_factory=gevent.ssl.create_default_context,
    )
    yield client
    client.close()


@pytest.fixture
def rpc(house):
    client = tritonclient.grpc.InferenceServerClient(
        f"localhost:{house.port}", ssl=True, root_certificates=house.authority
    )
    yield client
    client.close()


@pytest.fixture
def metadata(house):
    return {"authorization": f"Bearer {house.key}"}


def inputs_of(kind, rows, binary=None):
    rows = numpy.asarray(rows, dtype=numpy.float32)
    tensor = kind.InferInput("features", list(rows.shape), "FP32")
    if binary is None:
        tensor.set_data_from_numpy(rows)
    else:
        tensor.set_data_from_numpy(rows, binary_data=binary)
    return [tensor]


def bits(answer):
    return [answer.as_numpy(name).tobytes() for name in NAMES]


def test_all_four_combinations_of_json_and_raw_have_the_same_bits(house, http, heldout):
    rows = heldout(MODEL)[:5]
    seen = []
    for given, wanted in itertools.product([False, True], [False, True]):
        outputs = [tritonclient.http.InferRequestedOutput(name, binary_data=wanted) for name in NAMES]
        answer = http.infer(
            MODEL, inputs_of(tritonclient.http, rows, given), outputs=outputs, headers=house.headers
        )
        assert ("data" in answer.get_output("label")) == (not wanted)
        seen.append(bits(answer))
    # Without a word on outputs this client wants all of them raw.
    seen.append(bits(http.infer(MODEL, inputs_of(tritonclient.http, rows), headers=house.headers)))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("there", [None, "gzip", "deflate"])
@pytest.mark.parametrize("back", [None, "gzip", "deflate"])
def test_bodies_may_be_compressed_both_ways(house, http, heldout, there, back):
    rows = heldout(MODEL)[:100]
    plain = http.infer(MODEL, inputs_of(tritonclient.http, rows), headers=house.headers)
    answer = http.infer(
        MODEL, inputs_of(tritonclient.http, rows), headers=house.headers,
        request_compression_algorithm=there, response_compression_algorithm=back,
    )
    assert bits(answer) == bits(plain)


def test_grpc_describes_as_rest_does(house, rpc, metadata):
    assert rpc.is_server_live() and rpc.is_server_ready()
    assert rpc.is_model_ready(MODEL, headers=metadata)
    assert rpc.get_server_metadata(headers=metadata).name == "bartizan"
    told = rpc.get_model_metadata(MODEL, headers=metadata, as_json=True)
    rest = house.get(f"/v2/models/{MODEL}").json()
    assert [tensor["name"] for tensor in told["inputs"]] == [t["name"] for t in rest["inputs"]]
    config = rpc.get_model_config(MODEL, headers=metadata).config
    assert config.input[0].data_type == tritonclient.grpc.model_config_pb2.TYPE_FP32
    index = rpc.get_model_repository_index(headers=metadata)
    assert (MODEL, "1", "READY") in {(m.name, m.version, m.state) for m in index.models}


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_grpc_answers_with_the_bits_of_rest(house, http, rpc, metadata, heldout, compression):
    rows = heldout(MODEL)[:7]
    rest = http.infer(MODEL, inputs_of(tritonclient.http, rows), headers=house.headers)
    answer = rpc.infer(
        MODEL, inputs_of(tritonclient.grpc, rows), headers=metadata, request_id="seven",
        compression_algorithm=compression,
    )
    assert bits(answer) == bits(rest)
    assert answer.get_response().id == "seven"


def test_the_other_forms_of_the_grpc_client_work(house, rpc, metadata, heldout):
    rows = heldout(MODEL)[:3]
    expected = bits(rpc.infer(MODEL, inputs_of(tritonclient.grpc, rows), headers=metadata))
    done = queue.Queue()
    rpc.async_infer(
        MODEL, inputs_of(tritonclient.grpc, rows), headers=metadata,
        callback=lambda result, error: done.put((result, error)),
    )
    result, error = done.get(timeout=30)
    assert error is None and bits(result) == expected

    async def asynchronous():
        client = tritonclient.grpc.aio.InferenceServerClient(
            f"localhost:{house.port}", ssl=True, root_certificates=house.authority
        )
        async with client:
            asked = [
                client.infer(MODEL, inputs_of(tritonclient.grpc, rows), headers=metadata)
                for _ in range(8)
            ]
            return [bits(answer) for answer in await asyncio.gather(*asked)]

    assert asyncio.run(asynchronous()) == [expected] * 8


def test_each_message_of_a_stream_is_a_decision_of_its_own(rpc, metadata, heldout):
    rows = heldout(MODEL)[:4]
    done = queue.Queue()
    rpc.start_stream(callback=lambda result, error: done.put((result, error)), headers=metadata)
    for number, model in enumerate([MODEL, "no-such-model", MODEL]):
        rpc.async_stream_infer(
            model, inputs_of(tritonclient.grpc, rows), request_id=str(number)
        )
    said = [done.get(timeout=30) for _ in range(3)]
    rpc.stop_stream()
    assert said[0][1] is None and said[2][1] is None
    assert "no such model" in said[1][1].message()
    ids = [result.get_response().id for result, _ in (said[0], said[2])]
    assert ids == ["0", "2"]
    parameters = [result.get_response().parameters for result, _ in (said[0], said[2])]
    decisions = {p["bartizan-decision"].string_param for p in parameters}
    assert len(decisions) == 2
    assert all(";index=" in p["bartizan-receipt"].string_param for p in parameters)


def test_a_refusal_has_a_status_and_the_ids_of_its_record(rpc, metadata, heldout):
    rows = heldout(MODEL)[:1]
    cases = [
        (MODEL, rows[:, :29], metadata, "StatusCode.INVALID_ARGUMENT", "features"),
        ("no-such-model", rows, metadata, "StatusCode.NOT_FOUND", "model"),
        (MODEL, rows, {}, "StatusCode.UNAUTHENTICATED", "credential"),
    ]
    for model, given, headers, status, word in cases:
        with pytest.raises(InferenceServerException) as refused:
            rpc.infer(model, inputs_of(tritonclient.grpc, given), headers=headers)
        assert refused.value.status() == status
        assert word in refused.value.message()
    with pytest.raises(InferenceServerException) as refused:
        rpc.register_system_shared_memory("r", "/key", 64, headers=metadata)
    assert refused.value.status() == "StatusCode.UNIMPLEMENTED"
    assert "shared memory" in refused.value.message()
    with pytest.raises(InferenceServerException) as refused:
        rpc.load_model(MODEL, headers=metadata)
    assert refused.value.status() == "StatusCode.PERMISSION_DENIED"


def test_a_model_is_unloaded_and_loaded_where_the_operator_allows_it(tmp_path, heldout):
    rows = heldout(MODEL)[:1]
    with House(tmp_path / "env", inference={"repository_control": True}) as house:
        admin = house.issue("keeper", "--action", "admin")
        # A key that may administer is not enough: the policies have to make its holder a deployer.
        with open(house.folder / "policies/projects.toml", "a") as file:
            file.write('[projects.default.roles]\ndeployer = ["keeper"]\n')
        house.cli("access", "reload")
        headers = {"authorization": f"Bearer {admin}"}
        user = {"authorization": f"Bearer {house.key}"}
        client = tritonclient.grpc.InferenceServerClient(
            f"localhost:{house.port}", ssl=True, root_certificates=house.authority
        )
        client.unload_model(MODEL, headers=headers)
        with pytest.raises(InferenceServerException) as refused:
            client.infer(MODEL, inputs_of(tritonclient.grpc, rows), headers=user)
        assert refused.value.status() == "StatusCode.NOT_FOUND"
        client.load_model(MODEL, headers=headers)
        assert client.infer(MODEL, inputs_of(tritonclient.grpc, rows), headers=user) is not None
        # Nothing that `model add` did not admit, and no file beside it.
        for name, extra in [("never-added", {}), (MODEL, {"files": {"file:1/x": b"x"}})]:
            with pytest.raises(InferenceServerException):
                client.load_model(name, headers=headers, config="{}" if extra else None, **extra)
        for call in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException) as refused:
                call(MODEL, headers=user)
            assert refused.value.status() == "StatusCode.PERMISSION_DENIED"
        client.close()


def test_rest_has_what_the_client_asks_beside_inference(house, http, heldout):
    http.infer(MODEL, inputs_of(tritonclient.http, heldout(MODEL)[:2]), headers=house.headers)
    config = http.get_model_config(MODEL, headers=house.headers)
    assert config["input"][0] == {"name": "features", "data_type": "TYPE_FP32", "dims": [-1, 30]}
    index = http.get_model_repository_index(headers=house.headers)
    assert {"name": MODEL, "version": "1", "state": "READY", "reason": ""} in index
    watcher = {"Authorization": f"Bearer {house.issue('watcher', '--action', 'metrics')}"}
    [stats] = http.get_inference_statistics(MODEL, headers=watcher)["model_stats"]
    assert stats["inference_count"] >= 2 and stats["inference_stats"]["success"]["count"] >= 1
    assert len(http.get_inference_statistics(headers=watcher)["model_stats"]) == 4
    with pytest.raises(InferenceServerException) as refused:
        http.get_inference_statistics(MODEL, headers=house.headers)
    assert "credential" in refused.value.message()
    for call in (http.get_system_shared_memory_status, http.get_log_settings):
        with pytest.raises(InferenceServerException) as refused:
            call(headers=house.headers)
        assert "not offered" in refused.value.message()


def test_conformance_passes_here_and_says_what_is_missing_elsewhere(house, tmp_path):
    key = tmp_path / "key"
    key.write_text(house.key)
    asked = [house.url, MODEL, "--key-file", str(key), "--ca", house.authority]
    report = json.loads(house.cli("conformance", *asked, "--format", "json"))
    assert report["n_failed"] == 0 and len(report["cases"]) == 24, report
    # Without a key nothing can be looked at; that is not a no.
    assert house.run("conformance", house.url, MODEL, "--ca", house.authority).returncode == 3
    # gRPC where there is none: those cases fail, the others hold.
    none = f"http://127.0.0.1:{free_port()}"
    done = house.run("conformance", *asked, "--grpc", none)
    assert done.returncode == 1 and "16 of 24 cases hold" in done.stdout, done.stdout


class Bare:
    """gRPC without a client that checks what it sends."""

    def __init__(self, house):
        with open(house.authority, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        self.channel = grpc.secure_channel(f"localhost:{house.port}", credentials)
        self.metadata = [("authorization", f"Bearer {house.key}")]

    def ask(self, message, metadata=(), method="ModelInfer"):
        call = self.channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}",
            request_serializer=lambda data: data, response_deserializer=lambda data: data,
        )
        try:
            return call(message, metadata=[*self.metadata, *metadata], timeout=30), None
        except grpc.RpcError as error:
            return None, error


@pytest.fixture
def bare(house):
    bare = Bare(house)
    yield bare
    bare.channel.close()


def infer_request(rows):
    rows = numpy.asarray(rows, dtype=numpy.float32)
    request = pb.ModelInferRequest(model_name=MODEL)
    tensor = request.inputs.add(name="features", datatype="FP32")
    tensor.shape.extend(rows.shape)
    return request, tensor, rows


def test_typed_contents_have_the_bits_of_raw_ones(bare, heldout):
    request, tensor, rows = infer_request(heldout(MODEL)[:3])
    tensor.contents.fp32_contents.extend(rows.flatten().tolist())
    typed = pb.ModelInferResponse.FromString(bare.ask(request.SerializeToString())[0])
    tensor.ClearField("contents")
    request.raw_input_contents.append(rows.tobytes())
    raw = pb.ModelInferResponse.FromString(bare.ask(request.SerializeToString())[0])
    probabilities = numpy.array(typed.outputs[1].contents.fp32_contents, dtype=numpy.float32)
    assert probabilities.tobytes() == raw.raw_output_contents[1]
    assert not typed.raw_output_contents and not raw.outputs[1].HasField("contents")


def test_bad_messages_are_refused_in_words_and_on_record(bare, heldout):
    request, tensor, rows = infer_request(heldout(MODEL)[:1])
    request.raw_input_contents.append(rows.tobytes())
    tensor.contents.fp32_contents.append(1.0)
    mixed = request.SerializeToString()
    tensor.ClearField("contents")
    request.raw_input_contents[0] = rows.tobytes()[:-1]
    short = request.SerializeToString()
    cases = [
        (mixed, (), "INVALID_ARGUMENT", "raw_input_contents"),
        (short, (), "INVALID_ARGUMENT", "bytes"),
        (b"\x0b", (), "INVALID_ARGUMENT", "wire type"),
        (b"\x2a\x00" * 1000, (), "NOT_FOUND", "model"),
        (short, (("x-padding", "x" * 60_000),), "RESOURCE_EXHAUSTED", None),
    ]
    for message, metadata, status, word in cases:
        answer, error = bare.ask(message, metadata)
        assert answer is None and error.code().name == status, (error, status)
        if word is not None:
            assert word in error.details()
            trailing = dict(error.trailing_metadata() or ()) | dict(error.initial_metadata() or ())
            assert "bartizan-decision" in trailing, trailing
    _, error = bare.ask(b"", method="NoSuchMethod")
    assert error.code().name == "UNIMPLEMENTED" or error.code().name == "NOT_FOUND"


CALLS = [
    route for route in json.loads((pathlib.Path(__file__).parent / "routes.json").read_text())
    if route["path"].startswith("/inference.") and route["needs"] != "nothing"
]


def test_each_call_needs_a_good_key_that_covers_it(house):
    bare = Bare(house)
    flipped = house.key[:-12] + ("a" if house.key[-12] != "a" else "b") + house.key[-11:]
    keys = {
        action: house.issue(f"calls-{action}", "--action", action)
        for action in ["infer", "describe", "admin", "metrics"]
    }
    named = bytes([0x0A, len(MODEL)]) + MODEL.encode()
    for route in CALLS:
        method = route["path"].rsplit("/", 1)[1]
        if method == "ModelStreamInfer":
            continue  # each of its messages is authorised by itself
        message = bytes([0x12]) + named[1:] if method.lower().endswith("load") else named
        if "Repository" in method and "Index" in method or method == "ServerMetadata":
            message = b""
        for key in ["", "bz_nothing", flipped]:
            bare.metadata = [("authorization", f"Bearer {key}")]
            _, error = bare.ask(message, method=method)
            # Many failures from one source are throttled.
            assert error.code().name in ("UNAUTHENTICATED", "RESOURCE_EXHAUSTED"), (method, error)
        for action, key in keys.items():
            bare.metadata = [("authorization", f"Bearer {key}")]
            _, error = bare.ask(message, method=method)
            code = "OK" if error is None else error.code().name
            if action == route["needs"]:
                assert code in ("OK", "INVALID_ARGUMENT", "UNIMPLEMENTED") or method.lower().endswith("load")
            else:
                assert code == "PERMISSION_DENIED", (method, action, error)
    bare.channel.close()


def test_health_over_grpc_needs_no_key_and_knows_its_service(house):
    bare = Bare(house)
    call = bare.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=lambda data: data, response_deserializer=lambda data: data,
    )
    service = b"inference.GRPCInferenceService"
    for name in (b"", service):
        message = b"\x0a" + bytes([len(name)]) + name if name else b""
        assert call(message, timeout=30) == b"\x08\x01"
    with pytest.raises(grpc.RpcError) as refused:
        call(b"\x0a\x01x", timeout=30)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    watch = bare.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=lambda data: data, response_deserializer=lambda data: data,
    )(b"", timeout=30)
    assert next(iter(watch)) == b"\x08\x01"
    watch.cancel()
    bare.channel.close()


def test_bad_raw_bodies_are_refused_in_words(house):
    head = b'{"inputs":[{"name":"features","shape":[1,30],"datatype":"FP32","parameters":'
    body_json = head + b'{"binary_data_size":120}}]}'
    length = "inference-header-content-length"
    path = f"/v2/models/{MODEL}/infer"
    cases = [
        (body_json + bytes(120), {}, "inference-header-content-length"),
        (body_json + bytes(119), {length: str(len(body_json))}, "119"),
        (body_json + bytes(121), {length: str(len(body_json))}, "follow"),
        (body_json + bytes(120), {length: str(len(body_json) + 400)}, "bytes are JSON"),
        (body_json + bytes(120), {length: "-1"}, "digits"),
        (body_json + bytes(120), {length: str(len(body_json)), "content-encoding": "gzip"}, "gzip"),
    ]
    for body, headers, word in cases:
        reply = house.post(path, data=body, headers={**house.headers, **headers})
        assert is_refusal(reply, 400, "malformed")
        assert word in reply.json()["error"], reply.text
        assert "bartizan-decision" in reply.headers
    reply = house.post(path, data=body_json + bytes(120), headers={**house.headers, length: str(len(body_json))})
    assert reply.status_code == 200, reply.text


def test_a_bomb_is_refused_before_it_goes_off(house):
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush()
    headers = {**house.headers, "content-encoding": "gzip"}
    before = house.resident_mib()
    reply = house.post(f"/v2/models/{MODEL}/infer", data=bomb, headers=headers)
    assert is_refusal(reply, 413, "too-large")
    assert house.resident_mib() - before < 48


def test_what_is_withheld_is_in_no_byte_of_any_protocol(house, rpc, http, heldout):
    key = house.issue("label-only", "--label-only")
    rows = heldout(MODEL)[:2]
    full = http.infer(MODEL, inputs_of(tritonclient.http, rows), headers=house.headers)
    secret = full.as_numpy("probabilities")[0, 0]
    forms = [struct.pack("<f", secret), repr(float(secret))[:8].encode(), b"probabilities"]
    only = {"authorization": f"Bearer {key}"}
    said = rpc.infer(MODEL, inputs_of(tritonclient.grpc, rows), headers=only).get_response()
    replies = [said.SerializeToString()]
    for binary in (False, True):
        body_json = b'{"inputs":[{"name":"features","shape":[2,30],"datatype":"FP32","parameters":' \
               b'{"binary_data_size":240}}],"parameters":{"binary_data_output":%s}}' % (
                   b"true" if binary else b"false")
        raw = numpy.asarray(rows, dtype=numpy.float32).tobytes()
        reply = requests.post(
            f"{house.url}/v2/models/{MODEL}/infer", data=body_json + raw, verify=house.authority,
            headers={"Authorization": f"Bearer {key}",
                     "inference-header-content-length": str(len(body_json))}, timeout=30,
        )
        assert reply.status_code == 200, reply.text
        replies.append(reply.content + repr(reply.headers).encode())
    for reply in replies:
        assert b"label" in reply
        assert not any(form in reply for form in forms), reply


def test_our_messages_have_the_field_numbers_of_the_client(house):
    """`protos/inference.proto` against the descriptor that NVIDIA ships."""
    grpc_tools = pytest.importorskip("grpc_tools.protoc")
    from google.protobuf import descriptor_pb2

    protos = pathlib.Path(__file__).resolve().parents[2] / "crates/wire/protos"
    out = house.folder / "inference.pb"
    assert grpc_tools.main(["", f"-I{protos}", f"-o{out}", "inference.proto"]) == 0
    ours = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    n_fields = 0

    def compare(message, theirs):
        nonlocal n_fields
        for field in message.field:
            their = theirs.fields_by_name[field.name]
            assert (their.number, their.type) == (field.number, field.type), field
            n_fields += 1
        for nested in message.nested_type:
            compare(nested, theirs.nested_types_by_name[nested.name])

    config = tritonclient.grpc.model_config_pb2.DESCRIPTOR.message_types_by_name
    for message in ours.message_type:
        theirs = pb.DESCRIPTOR.message_types_by_name.get(message.name) or config[message.name]
        compare(message, theirs)
    service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    for method in ours.service[0].method:
        their = service.methods_by_name[method.name]
        assert "." + their.input_type.full_name == method.input_type
        assert "." + their.output_type.full_name == method.output_type
    assert n_fields > 90
