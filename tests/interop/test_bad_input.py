"""What a hostile or broken client can send: a named error, nothing lost, no memory taken."""

import gzip
import json
import socket
import ssl

import pytest

from house import House, infer_body, is_refusal, read_all, read_reply, request_bytes

MODEL = "cancer-logistic"
INFER = f"/v2/models/{MODEL}/infer"
ROW = [1.0] * 30
# What a client meets that goes on sending to a server that has hung up.
HUNG_UP = (BrokenPipeError, ConnectionResetError, ssl.SSLError)


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A house with short waits and small limits."""
    limits = {
        "body_bytes_max": 65536, "header_bytes_max": 4096, "header_ms_max": 1000,
        "body_ms_max": 1000, "handshake_ms_max": 1000,
    }
    folder = tmp_path_factory.mktemp("strict") / "env"
    with House(folder, limits=limits) as house:
        yield house
        assert house.infer(MODEL, [ROW]).status_code == 200, "the server no longer answers"
        assert house.resident_mib() < 150


def tensor(**changes):
    given = {"name": "features", "shape": [1, 30], "datatype": "FP32", "data": ROW}
    return json.dumps({"inputs": [given | changes]}).encode()


BODIES = {
    "empty": (b"", 400, "malformed"),
    "not json": (b"hello", 400, "malformed"),
    "truncated": (infer_body([ROW])[:-5], 400, "malformed"),
    "nested deeply": (b"[" * 20_000 + b"]" * 20_000, 400, "malformed"),
    "nested data": (tensor(data=[[[[[[[[[[1.0]]]]]]]]]]), 400, None),
    "duplicate key": (b'{"inputs":[],"inputs":[]}', 400, "malformed"),
    "invalid utf-8": (infer_body([ROW]).replace(b"features", b"feat\xffres"), 400, "malformed"),
    "no inputs": (b'{"inputs":[]}', 400, None),
    "wrong name": (tensor(name="feature"), 400, "mismatch"),
    "wrong type": (tensor(datatype="FP64"), 400, "mismatch"),
    "unknown type": (tensor(datatype="FP31"), 400, None),
    "wrong width": (tensor(shape=[1, 29], data=ROW[:29]), 400, "mismatch"),
    "too few values": (tensor(data=ROW[:29]), 400, None),
    "too many values": (tensor(data=ROW + [1.0]), 400, None),
    "huge shape": (tensor(shape=[2**60, 30]), 413, "too-large"),
    "overflowing shape": (tensor(shape=[2**63, 2**63]), 413, "too-large"),
    "negative shape": (tensor(shape=[-1, 30]), 400, None),
    "a text for a number": (tensor(data=["x"] * 30), 400, None),
    "beyond the type": (tensor(data=[1e300] + ROW[1:]), 400, None),
    "NaN": (tensor(data=ROW[1:]).replace(b'"data": [', b'"data": [NaN, '), 400, "input-refused"),
    "null": (tensor(data=[None] + ROW[1:]), 400, "input-refused"),
    "infinity": (tensor(data=ROW[1:]).replace(b'"data": [', b'"data": [Infinity, '), 400, "input-refused"),
    "below a hard limit": (tensor(data=[-1.0] + ROW[1:]), 400, "input-refused"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_bad_body_is_refused_by_name(strict, kind):
    body, status, code = BODIES[kind]
    reply = strict.post(INFER, data=body)
    said = reply.json()
    assert reply.status_code == status, reply.text
    assert code is None or said["code"] == code, reply.text
    assert isinstance(said["error"], str) and said["error"]
    assert reply.headers["bartizan-decision"]


def test_a_refused_value_is_not_repeated(strict):
    reply = strict.post(INFER, data=tensor(data=[-123.25] + ROW[1:]))
    assert is_refusal(reply, 400, "input-refused")
    assert "123.25" not in reply.text


@pytest.mark.parametrize("path", ["/v2/models/other/infer", f"/v2/models/{MODEL}/versions/9/infer", "/v2/models/..%2f/infer", "/nothing"])
def test_what_is_not_there_is_not_found(strict, path):
    assert is_refusal(strict.post(path, data=infer_body([ROW])), 404, "not-found")


def test_another_method_is_told_the_right_one(strict):
    reply = strict.get(INFER)
    assert is_refusal(reply, 405, "method-not-allowed")
    assert "POST" in reply.headers["Allow"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br"])
def test_a_body_in_an_encoding_that_is_not_known_is_refused(strict, encoding):
    headers = strict.headers | {"Content-Encoding": encoding}
    reply = strict.post(INFER, data=gzip.compress(infer_body([ROW])), headers=headers)
    assert is_refusal(reply, 415, "unsupported")


def test_a_body_that_is_not_what_its_encoding_says_is_refused(strict):
    whole = gzip.compress(infer_body([ROW]))
    headers = strict.headers | {"Content-Encoding": "gzip"}
    assert strict.post(INFER, data=whole, headers=headers).status_code == 200
    for broken in [whole[:-9], whole[:-1], infer_body([ROW]), whole + b"x"]:
        assert strict.post(INFER, data=broken, headers=headers).status_code == 400


def test_a_large_body_is_refused_before_it_is_sent(strict):
    """The claim alone is enough; no byte of the body has left."""
    with strict.raw() as connection:
        headers = strict.headers | {"Content-Length": str(10**12)}
        connection.sendall(request_bytes(INFER, headers, b""))
        status, _, body = read_reply(connection)
    assert status == 413
    assert json.loads(body)["code"] == "too-large"
    assert "65536" in json.loads(body)["error"]


def test_a_large_body_without_a_claim_is_refused_on_its_way(strict):
    with strict.raw() as connection:
        headers = strict.headers | {"Transfer-Encoding": "chunked"}
        connection.sendall(request_bytes(INFER, headers, b""))
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        try:
            for _ in range(32):
                connection.sendall(chunk)
        except HUNG_UP:
            pass
        reply = read_reply(connection)
    assert reply is None or reply[0] == 413, reply


def test_large_headers_are_refused(strict):
    reply = strict.get("/v2", headers=strict.headers | {"X-Filler": "x" * 6000})
    assert is_refusal(reply, 431, "headers-too-large")
    many = {f"X-{number}": "x" for number in range(80)}
    assert is_refusal(strict.get("/v2", headers=strict.headers | many), 431, "headers-too-large")
    with strict.raw() as connection:
        try:
            connection.sendall(request_bytes("/v2", {"X-Filler": "x" * 200_000}, b"", "GET"))
        except HUNG_UP:
            return
        reply = read_reply(connection)
    assert reply is None or reply[0] == 431, reply


def test_a_slow_body_is_not_waited_for(strict):
    with strict.raw() as connection:
        body = infer_body([ROW])
        headers = strict.headers | {"Content-Length": str(len(body))}
        connection.sendall(request_bytes(INFER, headers, body[:10]))
        status, _, body = read_reply(connection)
    assert status == 408
    assert json.loads(body)["code"] == "slow"


@pytest.mark.parametrize("sent", [b"", b"P", b"PRI * HTTP/2.0\r\n", b"POST /v2/models"])
def test_a_slow_head_and_a_silent_client_are_hung_up_on(strict, sent):
    with strict.raw() as connection:
        connection.sendall(sent)
        assert b" 200 " not in read_all(connection)


def test_a_slow_handshake_is_hung_up_on(strict):
    with socket.create_connection(("127.0.0.1", strict.port), 10) as connection:
        connection.sendall(b"\x16\x03\x01")
        read_all(connection)


def test_bytes_that_are_no_tls_or_no_http_end_the_connection_only(strict):
    with socket.create_connection(("127.0.0.1", strict.port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        assert b" 200 " not in read_all(connection)
    with strict.raw() as connection:
        connection.sendall(bytes(range(256)) * 4)
        assert b" 200 " not in read_all(connection)


def test_a_half_closed_connection_still_gets_its_answer(tmp_path):
    """In the clear, where a client can close one half."""
    with House(tmp_path / "env", inference={"tls": "off"}) as house:
        with house.raw() as connection:
            body = infer_body([ROW])
            headers = house.headers | {"Content-Length": str(len(body))}
            connection.sendall(request_bytes(INFER, headers, body))
            connection.shutdown(socket.SHUT_WR)
            assert read_reply(connection)[0] == 200
        with house.raw() as connection:
            headers = house.headers | {"Content-Length": "1000"}
            connection.sendall(request_bytes(INFER, headers, b"{"))
            connection.shutdown(socket.SHUT_WR)
            assert b" 200 " not in read_all(connection)
        assert house.infer(MODEL, [ROW]).status_code == 200
