"""Who owns a store, what a bad disk does, and how a server stops."""

import contextlib
import socket
import subprocess
import threading
import time

import pytest
import requests

from house import Failed, House, free_port, infer_body, is_refusal, read_reply, request_bytes

MODEL = "cancer-logistic"
INFER = f"/v2/models/{MODEL}/infer"
ROW = [1.0] * 30
VOLUME_MIB = 24


@contextlib.contextmanager
def volume(folder):
    """A small disk of its own; the test is skipped where none can be mounted."""
    folder.mkdir()
    size = f"size={VOLUME_MIB}m"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"no volume can be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


SMALL = {"volatile": True, "segment_bytes": 1048576}


def test_a_port_in_use_is_named(tmp_path):
    with House(tmp_path / "first") as first:
        second = House(tmp_path / "second", inference=dict(first.config["inference"]))
        done = second.run("serve")
        assert done.returncode not in (0, 1), done.stderr
        assert first.config["inference"]["address"] in done.stderr, done.stderr
        assert "in use" in done.stderr or "another process" in done.stderr, done.stderr


def test_a_store_has_one_owner(tmp_path):
    with House(tmp_path / "env") as house:
        other = f"127.0.0.1:{free_port()}"
        house.configure(inference={"address": other})
        done = house.run("serve")
        assert done.returncode not in (0, 1), done.stderr
        assert f"in use by process {house.process.pid}" in done.stderr, done.stderr
        with pytest.raises(requests.ConnectionError):
            house.get("/v2/health/live")


def test_a_volatile_store_must_be_allowed(tmp_path):
    """Where a sync means nothing, an environment is neither made nor served by accident."""
    with volume(tmp_path / "memory") as disk:
        with pytest.raises(Failed) as refused:
            House(disk / "env")
        assert "volatile" in str(refused.value)
        house = House(disk / "env", init=["--volatile"], ledger=SMALL)
        house.configure(ledger={"volatile": False})
        done = house.run("serve")
        assert done.returncode not in (0, 1), done.stderr
        assert "volatile" in done.stderr, done.stderr


def test_a_full_disk_refuses_and_answers_nothing_unrecorded(tmp_path):
    with volume(tmp_path / "small") as disk:
        house = House(disk / "env", init=["--volatile"], ledger=SMALL)
        with house:
            receipts, refused = [], None
            with requests.Session() as session:
                rows = [ROW] * 200
                for _ in range(5_000):
                    reply = house.infer(MODEL, rows, session=session)
                    if reply.status_code != 200:
                        refused = reply
                        break
                    receipts.append(reply.headers["bartizan-decision"])
            assert refused is not None, "the disk never filled"
            assert is_refusal(refused, 503, "unrecordable")
            assert int(refused.headers["Retry-After"]) > 0
            # A small record may still fit; then it is there like any other.
            for _ in range(20):
                reply = house.infer(MODEL, [ROW])
                assert reply.status_code in (200, 503), reply.text
                if reply.status_code == 200:
                    receipts.append(reply.headers["bartizan-decision"])
            assert house.get("/v2/health/live").status_code == 200
        house.cli("ledger", "verify")
        for decision in receipts[-3:] + receipts[:1]:
            assert decision in house.cli("trace", decision)


def test_a_read_only_disk_is_said_at_the_start(tmp_path):
    with volume(tmp_path / "fixed") as disk:
        house = House(disk / "env", init=["--volatile"], ledger=SMALL)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = house.run("serve")
        assert done.returncode not in (0, 1), done.stderr
        assert "read-only" in done.stderr.lower(), done.stderr


def test_sigterm_lets_an_open_request_finish(tmp_path):
    house = House(tmp_path / "env").start()
    with house.raw() as connection:
        body = infer_body([ROW])
        headers = house.headers | {"Content-Length": str(len(body))}
        connection.sendall(request_bytes(INFER, headers, body[:20]))
        # Another answer shows that the server has read what came before it.
        assert house.infer(MODEL, [ROW]).status_code == 200
        codes = []
        stopper = threading.Thread(target=lambda: codes.append(house.stop()))
        port = house.port
        stopper.start()
        wait_until_refused(port)
        connection.sendall(body[20:])
        status, headers, _ = read_reply(connection)
    stopper.join()
    assert status == 200
    assert codes == [0]
    assert headers["bartizan-decision"] in house.cli("trace", headers["bartizan-decision"])


def wait_until_refused(port):
    """Until nobody listens on a port any more."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("the server still listens")


def test_an_environment_is_its_owners_alone(tmp_path):
    house = House(tmp_path / "env")
    assert house.folder.stat().st_mode & 0o777 == 0o700
    for folder in ["keys", "tls"]:
        for path in (house.folder / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pem":
                assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("text, word", [
    ("[inference]\nadress = \"127.0.0.1:1\"\n", "address"),
    ("[inference]\naddress = \"0.0.0.0:8443\"\ntls = \"off\"\n", "127.0.0.1"),
    ("[inference]\naddress = 5\n", "address"),
    ("[inference\n", "line 1"),
    ("[inference]\ncertificate = \"tls/absent.pem\"\n", "absent.pem"),
])
def test_a_bad_configuration_is_explained(tmp_path, text, word):
    house = House(tmp_path / "env")
    (house.folder / "bartizan.toml").write_text(text)
    done = house.run("config", "check")
    assert done.returncode != 0
    assert word in done.stdout + done.stderr, done.stdout + done.stderr
    assert house.run("serve").returncode != 0
