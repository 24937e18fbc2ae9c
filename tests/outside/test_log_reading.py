"""The log as strangers read it: C2SP paths, types, ages, and nothing else."""

import http.client
import json

import pytest
import requests

from c2sp import Note, entries, leaf_hash, root_of
from parts import MODEL, ROW, House, free_port, log_key, wait_for

N_DECISIONS = 300


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    """A house whose log is open to readers, with more than one full tile."""
    address = f"127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("reading") / "env"
    with House(folder, models=[MODEL], log_reading={"address": address, "tls": "off"}) as house:
        house.log_url = f"http://{address}"
        with requests.Session() as session:
            for _ in range(N_DECISIONS):
                last = house.infer(MODEL, ROW, session=session)
        index = int(last.headers["bartizan-receipt"].split(";index=")[1].split(";")[0])
        wait_for(lambda: checkpoint(house).size > index)
        yield house


def checkpoint(house):
    reply = requests.get(house.log_url + "/checkpoint", timeout=10)
    if reply.status_code == 404:
        return Note("none\n0\n\n\n")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    return Note(reply.text)


def resource(house, path):
    reply = requests.get(house.log_url + path, timeout=10)
    assert reply.status_code == 200, path
    assert reply.headers["content-type"] == "application/octet-stream"
    assert "immutable" in reply.headers["cache-control"]
    return reply.content


def test_the_entries_make_the_tiles_and_the_tiles_the_signed_root(reading):
    note = checkpoint(reading)
    assert log_key(reading).signed(note)
    assert note.size > 256
    leaves, hashes = [], []
    for start in range(0, note.size, 256):
        width = min(256, note.size - start)
        partial = "" if width == 256 else f".p/{width}"
        name = f"{start // 256:03}{partial}"
        leaves += entries(resource(reading, f"/tile/entries/{name}"))
        tile = resource(reading, f"/tile/0/{name}")
        hashes += [tile[at : at + 32] for at in range(0, len(tile), 32)]
    assert [leaf_hash(leaf) for leaf in leaves] == hashes
    assert root_of(hashes) == note.root


@pytest.mark.parametrize("path", [
    "/", "/checkpoint/", "//checkpoint", "/tile/0/0", "/tile/0/999", "/tile/00/000",
    "/tile/0/000.p/256", "/tile/0/000.p/01", "/tile/entries/../../../wal/0000000000000000.wal",
    "/tile/..%2f..%2fkeys/log.key", "/../keys/log.key", "/tile/0/../../LOCK", "/settled",
    "/v2/health/live", "/metrics", "/admin/v1/key-list", "/tile/0/x000/000",
])
def test_nothing_else_is_there(reading, path):
    host = reading.log_url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path)
    reply = connection.getresponse()
    assert (reply.status, reply.read()) == (404, b"the log has nothing of that name\n")


def test_only_get_is_taken(reading):
    for method in ["POST", "PUT", "DELETE", "PATCH"]:
        reply = requests.request(method, reading.log_url + "/checkpoint", timeout=10)
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET"), method


def test_readers_leave_no_records(reading):
    before = wait_for(lambda: settled(reading))
    for _ in range(20):
        requests.get(reading.log_url + "/nothing", timeout=10)
    said = reading.cli("ledger", "verify", "--format", "json")
    assert json.loads(said)["n_records"] == before


def settled(house):
    """Records in the log, once a look at it and the next say the same."""
    looks = [json.loads(house.cli("ledger", "verify", "--format", "json"))["n_records"] for _ in "12"]
    return looks[0] if looks[0] == looks[1] else None
