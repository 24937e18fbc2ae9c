"""Each runbook walked through: the very commands in `docs/runbooks/`, on the trouble they are for."""

import os
import pathlib
import resource
import signal
import subprocess
import threading

import pytest
import requests

from house import BINARY, ROOT, is_refusal
from parts import MODEL, ROW, House, Witness, free_port, log_key, policy, wait_for
from test_witness import proof_of

RUNBOOKS = ROOT / "docs" / "runbooks"
WALKED = {"disk-full", "log-fenced", "lost-witness", "key-rotation", "hold", "restore", "lost-replica"}
FENCE_BYTES = 64 << 10
SMALL = {"volatile": True, "segment_bytes": 1048576}


def blocks(name):
    """The shell commands of a runbook, in order."""
    found, block = [], None
    for line in (RUNBOOKS / f"{name}.md").read_text().splitlines():
        text = line.strip()
        if text == "```sh":
            block = []
        elif text == "```" and block is not None:
            found.append("\n".join(block) + "\n")
            block = None
        elif block is not None:
            block.append(line)
    assert found, name
    return found


def walk(block, house, **more):
    """Runs a block as an operator's shell would, stopping at the first command that fails."""
    path = f"{pathlib.Path(BINARY).resolve().parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "ENV": str(house.folder), "URL": house.url}
    if house.process is not None:
        env["SERVER_PID"] = str(house.process.pid)
    env |= {name: str(value) for name, value in more.items()}
    done = subprocess.run(["sh", "-eu", "-c", block], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def ended(house, act):
    """Does what ends the server, and takes note of it: an unreaped child would seem alive."""
    process = house.process
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    act()
    reaper.join(30)
    house.process = None


def end(pid_file):
    os.kill(int(pid_file.read_text()), signal.SIGTERM)


def test_every_runbook_is_walked():
    written = {path.stem for path in RUNBOOKS.glob("*.md")}
    assert written == WALKED, "a runbook without a test here, or a test without one"


def test_disk_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no volume can be mounted: {mounted.stderr.strip()}")
    try:
        house = House(disk / "env", models=[MODEL], init=["--volatile"], ledger=SMALL)
        with house, requests.Session() as session:
            replies = (house.infer(MODEL, ROW * 200, session=session) for _ in range(5_000))
            refused = next(reply for reply in replies if reply.status_code != 200)
            assert is_refusal(refused, 503, "unrecordable")
            look, again = blocks("disk-full")
            walk(look, house)
            subprocess.run(["mount", "-o", "remount,size=96m", str(disk)], check=True)
            wait_for(lambda: house.infer(MODEL, ROW).status_code == 200)
            walk(again, house)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_log_fenced(tmp_path, monkeypatch):
    house = House(tmp_path / "env", models=[MODEL])
    # A write beyond the limit then fails, as on a dying disk, instead of ending the process.
    script = tmp_path / "serve"
    script.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {pathlib.Path(BINARY).resolve()} \"$@\"\n")
    script.chmod(0o700)
    monkeypatch.setattr("house.BINARY", str(script))
    with house:
        # The limit is one of offsets: the log of events stays below it, the log of records not.
        for _ in range(20):
            last = house.infer(MODEL, ROW * 50).headers["bartizan-decision"]
        limit = (FENCE_BYTES, resource.RLIM_INFINITY)
        resource.prlimit(house.process.pid, resource.RLIMIT_FSIZE, limit)
        wait_for(lambda: house.infer(MODEL, ROW).status_code == 503)
        resource.prlimit(
            house.process.pid, resource.RLIMIT_FSIZE,
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        )
        assert is_refusal(house.infer(MODEL, ROW), 503, "unrecordable"), "it is fenced for good"
        stop, look, start = blocks("log-fenced")
        ended(house, lambda: walk(stop, house))
        walk(look, house)
        walk(start, house)
        assert house.infer(MODEL, ROW).status_code == 200
        assert last in house.cli("trace", last)
        end(house.folder / "serve.pid")


def test_lost_witness(tmp_path):
    witnesses = [Witness(tmp_path / f"w{at}", f"w{at}.example/witness") for at in range(2)]
    house = House(tmp_path / "env", models=[MODEL])
    policy(house, witnesses, 2)
    house.configure(
        witnesses={"policy": "policy"}, ack={"witnessed": [MODEL]}, limits={"answer_ms_max": 5_000}
    )
    new = tmp_path / "new"
    try:
        for witness in witnesses:
            witness.know(log_key(house))
            witness.start()
        with house:
            assert house.infer(MODEL, ROW).status_code == 200
            witnesses[1].kill()
            assert is_refusal(house.infer(MODEL, ROW), 503, "unpublished")
            look, make, swap, see = blocks("lost-witness")
            names = {
                "NEW": new, "NEW_NAME": "new.example/witness", "LOST": "w1",
                "NEW_ADDRESS": f"127.0.0.1:{free_port()}",
            }
            walk(look, house)
            walk(make, house, **names)
            ended(house, lambda: walk(swap, house, **names))
            walk(see, house, **names)
            answer = wait_for(lambda: answered(house))
            proof, leaf = proof_of(answer)
            assert proof.root(leaf) == proof.note.root
            end(house.folder / "serve.pid")
    finally:
        for witness in witnesses:
            witness.kill()
        if pathlib.Path(f"{new}.pid").exists():
            end(pathlib.Path(f"{new}.pid"))


def answered(house):
    try:
        reply = house.infer(MODEL, ROW)
    except requests.ConnectionError:
        return None
    return reply if reply.status_code == 200 else None


def test_key_rotation(tmp_path):
    with House(tmp_path / "env", models=[MODEL]) as house:
        find, replace, revoke, see = blocks("key-rotation")
        old = house.key
        names = {"KEY_ID": old.split("_")[2], "MODEL": MODEL}
        assert names["KEY_ID"] in walk(find, house)
        walk(replace, house, **names)
        assert house.infer(MODEL, ROW).status_code == 200, "the old one, within the overlap"
        walk(revoke, house, **names)
        wait_for(lambda: house.infer(MODEL, ROW).status_code == 401)
        walk(see, house, **names)


def test_hold(tmp_path):
    with House(tmp_path / "env", models=[MODEL]) as house:
        key = house.issue("clerk", "--may-assert", "subject")
        headers = {"Authorization": f"Bearer {key}", "bartizan-subject": "person-4711"}
        decision = house.infer(MODEL, ROW, headers=headers).headers["bartizan-decision"]
        add, erase, release = blocks("hold")
        names = {"SUBJECT": "person-4711", "REASON": "case 4711/26"}
        walk(add, house, **names)
        walk(erase, house, **names)
        assert "0.0" in house.cli("trace", decision), "what is held still opens"
        assert "waits" in house.cli("hold", "list")
        walk(release, house, **names)
        assert "waits" not in house.cli("hold", "list")


def test_lost_replica(tmp_path):
    house, lost = House(tmp_path / "env"), House(tmp_path / "lost", models=[MODEL])
    (house.folder / "replicas.txt").write_text(f"{lost.folder}\n")
    names = {
        "BACKUP": tmp_path / "backup", "LOST": lost.folder, "SUBJECT": "person-4711", "REASON": "request 17",
    }
    with lost:
        key = lost.issue("clerk", "--may-assert", "subject")
        headers = {"Authorization": f"Bearer {key}", "bartizan-subject": "person-4711"}
        decision = lost.infer(MODEL, ROW, headers=headers).headers["bartizan-decision"]
        walk(blocks("restore")[0], lost, **names)
    lost.folder.rename(tmp_path / "gone")
    see, restore, repeat = blocks("lost-replica")
    walk(see, house, **names)
    walk(restore, house, **names)
    walk(repeat, house, **names)
    shown = subprocess.run(
        [BINARY, "-e", str(lost.folder), "trace", decision], capture_output=True, text=True, timeout=60
    )
    assert decision in shown.stdout and "0.0" not in shown.stdout, "who was erased is back"


def size_known(anchor):
    """Records that the anchor remembers."""
    checkpoint = anchor / "checkpoint"
    return int(checkpoint.read_text().split("\n")[1]) if checkpoint.exists() else 0


def test_restore(tmp_path):
    anchor = tmp_path / "anchor"
    house = House(tmp_path / "env", models=[MODEL])
    house.configure(ledger={"anchor": str(anchor)})
    names = {"BACKUP": tmp_path / "backup", "NEW": tmp_path / "new", "MORE": ""}
    back_up, restore, look, certify = blocks("restore")
    with house:
        key = house.issue("clerk", "--may-assert", "subject")
        headers = {"Authorization": f"Bearer {key}", "bartizan-subject": "person-4711"}
        decision = house.infer(MODEL, ROW, headers=headers).headers["bartizan-decision"]
        walk(back_up, house, **names)
        house.cli("erase", "--subject", "person-4711", "--reason", "request 17")
        receipt = house.infer(MODEL, ROW).headers["bartizan-receipt"]
        index = int(receipt.split("index=")[1].split(";")[0])
        wait_for(lambda: index < size_known(anchor))
    # The anchor knows that the log went on: an erasure may be among what the backup lacks.
    with pytest.raises(AssertionError, match="may have been erased"):
        walk(restore, house, **names)
    names |= {"NEW": tmp_path / "newer", "MORE": f"--erasures-from {house.folder}/store"}
    walk(restore, house, **names)
    walk(look, house, **names)
    walk(certify, house, **names)
    shown = subprocess.run(
        [BINARY, "-e", str(names["NEW"]), "trace", decision], capture_output=True, text=True, timeout=60
    )
    assert shown.returncode != 0 and "there is no sealing key of subject" in shown.stderr, shown
    assert "0.0" not in shown.stdout + shown.stderr, "who was erased since is back"
