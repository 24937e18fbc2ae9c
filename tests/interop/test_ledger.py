"""The published ledger judged by others: docs/verify.py, `metamorphic-log`, and the plain formats."""

import base64
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time

import metamorphic_log
import pytest

from house import ROOT, House

MODEL = "cancer-logistic"
ROW = [1.0 + column / 8 for column in range(30)]
VERIFY = ROOT / "docs/verify.py"


def judge(*args):
    """docs/verify.py's exit code and words."""
    done = subprocess.run(
        [sys.executable, str(VERIFY), *map(str, args)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def hashes_of(lines):
    return [base64.b64decode(line) for line in lines]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """An environment that served, with a second volume's anchor, its policy, replies and proofs."""
    folder = tmp_path_factory.mktemp("ledger")
    house = House(folder / "env", ledger={"anchor": "../anchor", "ml_dsa_44": True})
    with house:
        replies = [house.infer(MODEL, [ROW, [value * 2 for value in ROW]]) for _ in range(12)]
        ids = [reply.headers["bartizan-decision"] for reply in replies]
        live = folder / "live.tlog-proof"
        house.cli("ledger", "prove", ids[-1], "--output", str(live))
        house.cli("ledger", "verify")
    (folder / "policy.txt").write_text(house.cli("ledger", "policy"))
    return house, folder, replies, ids


def test_the_log_verifies_by_ours_and_by_an_independent_verifier(recorded):
    house, folder, _, _ = recorded
    said = house.cli("ledger", "verify", "--policy", str(folder / "policy.txt"))
    assert "in order" in said and "unanchored" not in said, said
    # Every decision's input tensors were read again and committed to again.
    assert "input tensors made again for 12, not for 0" in said, said
    code, words = judge("log", house.folder / "store/tlog", "--policy", folder / "policy.txt")
    assert code == 0 and words.endswith("in order\n"), words


def test_another_implementation_accepts_checkpoints_and_proofs(recorded):
    house, folder, _, ids = recorded
    vkey = next(
        line.split()[1]
        for line in (folder / "policy.txt").read_text().splitlines()
        if line.startswith("log ") and len(line) < 200
    )
    note = (house.folder / "store/tlog/checkpoint").read_text()
    assert metamorphic_log.verify_signed_note(note, [vkey]) == 1
    head = metamorphic_log.checkpoint_verify(note, [vkey])
    assert head.origin == "dev/local/r1" and head.size > 12
    for decision in ids[:3]:
        proof = house.cli("ledger", "prove", decision)
        lines, _, checkpoint = proof.partition("\n\n")
        _, extra, index, *path = lines.split("\n")
        leaf = record_of(base64.b64decode(extra.split()[1]))
        leaf_hash = hashlib.sha256(b"\0" + leaf).digest()
        position = int(index.split()[1])
        metamorphic_log.checkpoint_verify_inclusion(
            checkpoint, [vkey], position, leaf_hash, hashes_of(path)
        )
        with pytest.raises(metamorphic_log.VerifyError):
            metamorphic_log.checkpoint_verify_inclusion(
                checkpoint, [vkey], position + 1, leaf_hash, hashes_of(path)
            )


def record_of(extra):
    """The record in a proof's extra data: version, a map's head, key 0, a byte string."""
    sys.path.insert(0, str(VERIFY.parent))
    import verify

    return verify.cbor(extra[1:])[0][0]


def test_a_proof_is_checked_offline_by_both_and_a_changed_one_by_neither(recorded, tmp_path):
    house, folder, _, ids = recorded
    policy = folder / "policy.txt"
    proof = tmp_path / "one.tlog-proof"
    house.cli("ledger", "prove", ids[3], "--output", str(proof))
    for path in (proof, folder / "live.tlog-proof"):
        said = house.cli("ledger", "check", str(path), "--policy", str(policy), inside=False)
        assert "signed    by dev/local/r1" in said, said
        assert judge("proof", path, "--policy", policy)[0] == 0
    whole = proof.read_bytes()
    chance, n_refused = random.Random(1), 0
    for _ in range(40):
        changed = bytearray(whole)
        changed[chance.randrange(len(whole))] ^= 1 << chance.randrange(7)
        proof.write_bytes(changed)
        ours = house.run("ledger", "check", str(proof), "--policy", str(policy)).returncode
        theirs, words = judge("proof", proof, "--policy", policy)
        # Of two signatures of the log one is enough, and what names an unknown key is ignored.
        assert ours == theirs and ours in (0, 1), (ours, theirs, words)
        n_refused += ours
    assert 25 < n_refused, n_refused


def test_one_field_is_disclosed_and_the_others_are_not(recorded, tmp_path):
    house, folder, _, ids = recorded
    proof = tmp_path / "field.tlog-proof"
    with house:
        metadata = house.get(f"/v2/models/{MODEL}").json()
        name = metadata["inputs"][0]["name"]
        house.cli(
            "ledger", "prove", ids[5], "--field", f"{name}[7]", "--row", "1", "--output", str(proof)
        )
    policy = folder / "policy.txt"
    said = house.cli("ledger", "check", str(proof), "--policy", str(policy))
    assert f"of row 1 = {ROW[7] * 2}" in said, said
    code, words = judge("proof", proof, "--policy", policy)
    assert code == 0 and "disclosed" in words, words
    extra = base64.b64decode(proof.read_text().split("\nextra ")[1].split("\n")[0])
    width = 8 if metadata["inputs"][0]["datatype"] == "FP64" else 4
    import struct

    for column, value in enumerate(ROW):
        packed = struct.pack("<d" if width == 8 else "<f", value * 2)
        assert (packed in extra) == (column == 7), column


def test_a_receipt_that_the_log_lacks_is_named(recorded):
    house, _, replies, _ = recorded
    receipt = replies[2].headers["bartizan-receipt"]
    assert "in the log" in house.cli("ledger", "check", receipt)
    index = receipt.split("index=")[1].split(";")[0]
    for other in (int(index) + 1, 10**9):
        moved = receipt.replace(f"index={index};", f"index={other};")
        assert "LACKING" in house.cli("ledger", "check", moved, code=1)
    foreign = receipt.replace("dev/local/r1", "dev/local/r2")
    house.cli("ledger", "check", foreign, code=3)


def test_both_verifiers_agree_on_changed_logs(recorded, tmp_path):
    house, folder, _, _ = recorded
    policy = folder / "policy.txt"
    source = house.folder / "store"
    chance = random.Random(2)
    names = [
        path.relative_to(source)
        for path in sorted((source / "tlog").rglob("*"))
        if path.is_file() and path.name != "settled"
    ]
    size = int((source / "tlog/checkpoint").read_text().split("\n")[1])
    current = [name for name in names if name.name in ("checkpoint", str(size))]
    assert len(current) == 3, current
    for n in range(24):
        copy = tmp_path / str(n)
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("admin.sock"))
        name = chance.choice(current)
        changed = bytearray((copy / name).read_bytes())
        # Behind its text a checkpoint has two signatures, of which one is enough.
        end = len(changed) if name.name != "checkpoint" else changed.index(b"\n\n")
        changed[chance.randrange(end)] ^= 1 << chance.randrange(7)
        (copy / name).write_bytes(changed)
        done = house.run("ledger", "verify", str(copy), "--policy", str(policy))
        theirs, words = judge("log", copy / "tlog", "--policy", policy)
        assert (done.returncode, theirs) == (1, 1), (name, done.stdout, words)
        assert str(name) in done.stdout, done.stdout


def test_a_store_put_back_to_an_earlier_state_is_refused(tmp_path):
    house = House(tmp_path / "env", ledger={"anchor": "../anchor"})
    backup = tmp_path / "backup"
    shutil.copytree(house.folder / "store", backup)
    with house:
        receipt = house.infer(MODEL, [ROW]).headers["bartizan-receipt"]
        wait_until_covered(tmp_path / "anchor/checkpoint", receipt)
    shutil.rmtree(house.folder / "store")
    shutil.copytree(backup, house.folder / "store")
    done = house.run("serve")
    assert done.returncode == 3 and "the anchor knows a checkpoint of" in done.stderr, done.stderr
    said = house.cli("ledger", "verify", code=1)
    assert "knows" in said and "the log ends at" in said, said


def test_the_checkpoint_follows_the_log_within_a_second(tmp_path):
    with House(tmp_path / "env") as house:
        receipt = house.infer(MODEL, [ROW]).headers["bartizan-receipt"]
        wait_until_covered(house.folder / "store/tlog/checkpoint", receipt)


def wait_until_covered(checkpoint, receipt):
    """Until a checkpoint covers a receipt's record."""
    index = int(receipt.split("index=")[1].split(";")[0])
    deadline = time.monotonic() + 30
    while not checkpoint.exists() or int(checkpoint.read_text().split("\n")[1]) <= index:
        assert time.monotonic() < deadline, "not published in 30 s"
        time.sleep(0.05)
