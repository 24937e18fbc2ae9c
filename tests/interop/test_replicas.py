"""Two replicas, each with its own folder, ledger and keys, that share what was revoked."""

import pathlib
import shutil
import time

import pytest

from house import House, is_refusal

MODEL = "cancer-logistic"
ROW = [[1.0] * 30]
REVOKED_WITHIN_S = 1.0
STALE_S = 2


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    base = tmp_path_factory.mktemp("replicas")
    shared = base / "shared"
    shared.mkdir()
    config = {"shared": {"folder": str(shared), "stale_s_max": STALE_S}}
    houses = [
        House(base / name, init=("--replica", name), environment={"replica": name}, **config)
        for name in ("r1", "r2")
    ]
    with houses[0], houses[1]:
        yield shared, houses


def ask(house, key):
    return house.infer(MODEL, ROW, headers={"Authorization": f"Bearer {key}"})


def falls_within(house, key, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ask(house, key).status_code in (401, 429):
            return True
        time.sleep(0.02)
    return False


def test_what_one_replica_revokes_falls_on_the_other_within_a_second(replicas):
    _, (one, other) = replicas
    keys = [house.issue("mallory") for house in (one, other)]
    assert [ask(house, key).status_code for house, key in zip((one, other), keys)] == [200, 200]
    one.cli("revoke", "principal", "mallory")
    assert falls_within(one, keys[0], REVOKED_WITHIN_S)
    assert falls_within(other, keys[1], REVOKED_WITHIN_S)
    assert ask(other, other.key).status_code == 200, "others fall with him"
    again = other.issue("mallory")
    assert ask(other, again).status_code in (401, 429), "a new key of his is taken"


def test_a_revocation_outlives_restart_and_shared_folder(replicas):
    shared, (_, other) = replicas
    key = other.issue("trudy")
    assert ask(other, key).status_code == 200
    other.cli("revoke", "principal", "trudy", "--for", "1d")
    kept = (shared / "revocations.json").read_bytes()
    assert other.stop() == 0
    (shared / "revocations.json").write_bytes(b'{"format":1,"sequence":0,"revocations":[]}')
    other.start()
    assert ask(other, key).status_code in (401, 429, 503)
    (shared / "revocations.json").write_bytes(kept)
    assert falls_within(other, key, 5)


def test_without_the_shared_folder_a_replica_serves_for_a_while_then_nobody(replicas):
    shared, (one, other) = replicas
    away = shared.with_name("away")
    deadline = time.monotonic() + 10
    while ask(other, other.key).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    shutil.move(shared, away)
    gone = time.monotonic()
    assert ask(one, one.key).status_code == 200, "what was just seen is good for a while"
    while True:
        reply = ask(one, one.key)
        if reply.status_code != 200:
            break
        assert time.monotonic() < gone + STALE_S + 5
        time.sleep(0.1)
    assert is_refusal(reply, 503, "access-unavailable")
    assert STALE_S - 1 < time.monotonic() - gone
    assert one.get("/v2/health/ready").status_code != 200
    shutil.move(away, shared)
    deadline = time.monotonic() + 10
    while ask(one, one.key).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_no_core_is_dumped(replicas):
    _, (one, _) = replicas
    limits = pathlib.Path(f"/proc/{one.process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"], line
