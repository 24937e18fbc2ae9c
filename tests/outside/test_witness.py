"""Answers that wait for a checkpoint or for witnesses; witnesses that are down, lie, or object."""

import base64
import shutil

import pytest

from c2sp import Proof
from house import Failed, is_refusal
from parts import MODEL, ROW, House, Witness, free_port, log_key, policy, wait_for


@pytest.fixture
def witnesses(tmp_path):
    made = [Witness(tmp_path / f"w{at}", f"w{at}.example/witness") for at in range(3)]
    yield made
    for witness in made:
        witness.kill()


def watched(tmp_path, witnesses, least, **config):
    """A house whose answers wait for `least` of the witnesses, each of which knows its log."""
    house = House(tmp_path / "env", models=[MODEL])
    for witness in witnesses:
        witness.know(log_key(house))
        witness.start()
    policy(house, witnesses, least)
    house.configure(witnesses={"policy": "policy"}, ack={"witnessed": [MODEL]}, **config)
    return house


def proof_of(reply):
    """The proof that a reply carries, and the leaf that its receipt names."""
    value = reply.headers["bartizan-proof"]
    assert value[0] == value[-1] == ":" and len(value) < 8_000
    leaf = reply.headers["bartizan-receipt"].split(";leaf=:")[1].removesuffix(":")
    return Proof(base64.b64decode(value[1:-1]).decode()), base64.b64decode(leaf)


def test_a_published_answer_is_covered_when_it_comes(tmp_path):
    house = House(tmp_path / "env", models=[MODEL], ack={"default": "published"})
    with house:
        for _ in range(3):
            reply = house.infer(MODEL, ROW)
            assert reply.status_code == 200 and "bartizan-proof" not in reply.headers
            index = int(reply.headers["bartizan-receipt"].split(";index=")[1].split(";")[0])
            size = int((house.folder / "store/tlog/checkpoint").read_text().split("\n")[1])
            assert index < size


def test_a_witnessed_answer_carries_a_proof_that_anyone_can_check(tmp_path, witnesses):
    with watched(tmp_path, witnesses, 2) as house:
        for _ in range(3):
            reply = house.infer(MODEL, ROW)
            assert reply.status_code == 200, reply.text
            proof, leaf = proof_of(reply)
            assert proof.root(leaf) == proof.note.root
            assert log_key(house).signed(proof.note)
            assert sum(witness.key.signed(proof.note) for witness in witnesses) >= 2
        refused = house.infer(MODEL, [[1.0] * 3])
        assert refused.status_code == 400 and "bartizan-proof" not in refused.headers


def test_one_witness_down_is_survived_and_two_are_not(tmp_path, witnesses):
    limits = {"answer_ms_max": 3_000}
    with watched(tmp_path, witnesses, 2, limits=limits) as house:
        witnesses[0].stop()
        proof, leaf = proof_of(house.infer(MODEL, ROW))
        assert proof.root(leaf) == proof.note.root
        assert not witnesses[0].key.signed(proof.note)
        witnesses[1].stop()
        reply = house.infer(MODEL, ROW)
        assert is_refusal(reply, 503, "unpublished")
        assert int(reply.headers["Retry-After"]) > 0
        # The decision stands all the same, as it was made.
        decision = reply.headers["bartizan-decision"]
        assert f"Decision {decision}" in house.cli("trace", decision)
        witnesses[1].start()
        wait_for(lambda: house.infer(MODEL, ROW).status_code == 200)


def test_a_store_that_was_put_back_is_refused(tmp_path, witnesses):
    house = watched(tmp_path, witnesses, 2)
    with house:
        assert house.infer(MODEL, ROW).status_code == 200
        assert house.stop() == 0
        shutil.copytree(house.folder / "store", tmp_path / "older")
        house.start()
        for _ in range(5):
            assert house.infer(MODEL, ROW).status_code == 200
        house.kill()
    shutil.rmtree(house.folder / "store")
    shutil.copytree(tmp_path / "older", house.folder / "store")
    with pytest.raises(Failed) as said:
        house.start()
    assert "the witness" in str(said.value) and "rolled back" in str(said.value)


def test_of_two_histories_one_is_cosigned_and_the_other_told_of(tmp_path, witnesses):
    """Two copies of one store that both go on while no witness looks."""
    house = watched(tmp_path, witnesses, 2, limits={"answer_ms_max": 5_000})
    with house:
        assert house.infer(MODEL, ROW).status_code == 200
        assert house.stop() == 0
    for witness in witnesses:
        witness.stop()
    twin = copy_of(house, tmp_path / "twin")
    with house, twin:
        for witness in witnesses:
            witness.start()
        both = [house, twin]
        alarmed = wait_for(lambda: [h for h in both if "ledger.witness.alarmed" in log_of(h)])
        whole = [h for h in both if h.infer(MODEL, ROW).status_code == 200]
        assert len(whole) <= 1 and alarmed
        assert any("witness-alarmed" in acts(h) for h in alarmed)


def copy_of(house, folder):
    """The same environment, store and keys and all, in another folder and on another port."""
    twin = House.__new__(House)
    twin.folder, twin.process, twin.log, twin.key = folder, None, None, house.key
    shutil.copytree(house.folder, folder)
    twin.config = {section: dict(keys) for section, keys in house.config.items()}
    twin.configure(inference={"address": f"127.0.0.1:{free_port()}"})
    return twin


def log_of(house):
    return (house.folder / "serve.log").read_text()


def acts(house):
    """The log's leaves as they lie there: an act names its kind by number, a reason by text."""
    bundles = (house.folder / "store/tlog/tile/entries").glob("*")
    data = b"".join(path.read_bytes() for path in bundles if path.is_file())
    partial = (house.folder / "store/tlog/tile/entries").glob("*.p/*")
    data += b"".join(path.read_bytes() for path in partial)
    return "witness-alarmed" if b"has cosigned" in data else ""
