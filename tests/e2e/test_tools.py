"""Our log and witnesses beside Go's tools: `fsck` of Tessera, `litewitness` of torchwood.

`cargo xtask e2e` builds them into its cache; without them these tests are skipped and counted.
"""

import base64
import hashlib
import os
import pathlib
import sqlite3
import subprocess

import pytest
import requests

from c2sp import Key
from parts import MODEL, ROW, House, free_port, log_key, wait_for
from test_witness import proof_of

CACHE = pathlib.Path(os.environ.get("BARTIZAN_CACHE", pathlib.Path.home() / ".cache/bartizan"))
TOOLS = pathlib.Path(os.environ.get("GO_TOOLS", CACHE / "go" / "bin"))
WITNESS = "litewitness.example/e2e"


def tool(name):
    if not (TOOLS / name).is_file():
        pytest.skip(f"`{name}` is not built: needs Go and `cargo xtask e2e`")
    return str(TOOLS / name)


def fsck(house, url, folder, timeout=60):
    key = folder / "log.vkey"
    key.write_text(log_key(house).text + "\n")
    return subprocess.run(
        [tool("fsck"), "-storage_url", url, "-public_key", str(key), "-ui=false"],
        capture_output=True, text=True, timeout=timeout,
    )


def test_fsck_derives_our_root_from_what_we_serve(tmp_path):
    tool("fsck")
    address = f"127.0.0.1:{free_port()}"
    with House(tmp_path / "env", models=[MODEL], log_reading={"address": address, "tls": "off"}) as house:
        with requests.Session() as session:
            for _ in range(600):
                assert house.infer(MODEL, ROW, session=session).status_code == 200
        checkpoint = house.folder / "store/tlog/checkpoint"
        wait_for(lambda: int(checkpoint.read_text().split("\n")[1]) > 600)
        done = fsck(house, f"http://{address}/", tmp_path)
        assert done.returncode == 0 and "Successfully fsck'd log" in done.stderr, done.stderr
        # A tile with one bit changed is noticed, so that the tool's yes means something.
        tile = house.folder / "store/tlog/tile/0/000"
        data = bytearray(tile.read_bytes())
        data[100] ^= 1
        tile.write_bytes(data)
        try:
            done = fsck(house, f"http://{address}/", tmp_path, timeout=10)
            assert "Successfully" not in done.stderr, done.stderr
        except subprocess.TimeoutExpired as waited:
            # It asks for the tile again and again, in the hope of a better one.
            assert b"Successfully" not in (waited.stderr or b"")


def test_litewitness_cosigns_our_checkpoints(tmp_path):
    litewitness = tool("litewitness")
    agent = tmp_path / "agent.sock"
    running = []
    try:
        running.append(subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL))
        wait_for(agent.exists)
        ssh_key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh_key)], check=True)
        env = os.environ | {"SSH_AUTH_SOCK": str(agent)}
        subprocess.run(["ssh-add", "-q", str(ssh_key)], env=env, check=True)
        blob = base64.b64decode(ssh_key.with_suffix(".pub").read_text().split()[1])
        fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        typed = b"\x04" + blob[-32:]
        key_id = hashlib.sha256(WITNESS.encode() + b"\n" + typed).digest()[:4].hex()
        witness = Key(f"{WITNESS}+{key_id}+{base64.b64encode(typed).decode()}")
        port, database = free_port(), tmp_path / "witness.db"
        log = open(tmp_path / "witness.log", "wb")
        running.append(subprocess.Popen(
            [litewitness, "-db", str(database), "-ssh-agent", str(agent), "-name", WITNESS,
             "-key", fingerprint, "-listen", f"127.0.0.1:{port}"],
            stdout=log, stderr=log, cwd=tmp_path,
        ))
        wait_for(lambda: database.exists() and reachable(port))
        house = House(tmp_path / "env", models=[MODEL])
        know(database, log_key(house))
        (house.folder / "policy").write_text(
            f"log {log_key(house).text}\nwitness go {witness.text} http://127.0.0.1:{port}\nquorum go\n"
        )
        house.configure(witnesses={"policy": "policy"}, ack={"default": "witnessed"})
        with house:
            for _ in range(5):
                reply = house.infer(MODEL, ROW)
                assert reply.status_code == 200, (tmp_path / "witness.log").read_text()
                proof, leaf = proof_of(reply)
                assert proof.root(leaf) == proof.note.root and witness.signed(proof.note)
            assert house.stop() == 0
            house.start()
            assert witness.signed(proof_of(house.infer(MODEL, ROW))[0].note)
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(20)


def reachable(port):
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=5)
        return True
    except requests.ConnectionError:
        return False


def know(database, key):
    """What `witnessctl add-log` and `add-key` do."""
    empty = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    with sqlite3.connect(database, timeout=10) as tables:
        tables.execute("INSERT INTO log VALUES (?, 0, ?)", (key.name, empty))
        tables.execute("INSERT INTO key VALUES (?, ?)", (key.name, key.text))
