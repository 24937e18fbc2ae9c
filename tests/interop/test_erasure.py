"""Erasing a person with the real binary: while it serves, killed in the middle, over replicas."""

import json
import pathlib
import random
import shutil
import subprocess
import time

from house import BINARY, House

MODEL = "cancer-logistic"
ASSERTS = ("--may-assert", "subject")
KILLS = 12


def ask(house, row, subject):
    headers = {**house.headers, "bartizan-subject": subject}
    reply = house.infer(MODEL, [row], headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.headers["bartizan-decision"]


def report(house):
    return json.loads(house.cli("ledger", "verify", "--format", "json"))


def asking(folder):
    house = House(folder)
    house.key = house.issue("asker", *ASSERTS)
    return house


def test_erased_while_serving_and_every_other_payload_opens(tmp_path, heldout):
    row = heldout(MODEL)[0].tolist()
    with asking(tmp_path / "env") as house:
        mine = [ask(house, row, "patient 17") for _ in range(3)]
        others = [ask(house, row, f"patient {n}") for n in range(20, 25)]
        said = house.cli("erase", "--subject", "patient 17", "--reason", "art 17")
        assert said.startswith("erased: 1 keys destroyed"), said
        after = ask(house, row, "patient 17")
        for decision in mine:
            assert "Erased: the key of its" in house.cli("trace", decision)
        for decision in [*others, after]:
            assert "what the record commits to" in house.cli("trace", decision)
        found = report(house)
        assert (found["n_opened"], found["n_erased"], found["n_without_key"]) == (6, 3, 0), found
    # Nothing in the folder tells whom it was about, but the payloads that can be opened.
    name = b"patient 17"
    for path in pathlib.Path(tmp_path / "env").rglob("*"):
        if path.is_file() and path.suffix != ".log":
            assert name not in path.read_bytes(), path


def test_killed_in_the_middle_of_an_erasure_it_is_finished_by_the_next_owner(tmp_path, heldout):
    row = heldout(MODEL)[0].tolist()
    chance = random.Random(11)
    house = asking(tmp_path / "env")
    kept = []
    for n in range(KILLS):
        house.start()
        kept.append(ask(house, row, f"stays {n}"))
        gone = ask(house, row, f"goes {n}")
        command = [BINARY, "erase", "--subject", f"goes {n}", "--reason", "art 17"]
        erasing = subprocess.Popen(
            command, cwd=house.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.0, 0.05))
        house.kill()
        erasing.wait(60)
        house.cli("erase", "--subject", f"goes {n}", "--reason", "again")
        assert "Erased: the key of its" in house.cli("trace", gone)
    for decision in kept:
        assert "what the record commits to" in house.cli("trace", decision)
    found = report(house)
    assert (found["n_opened"], found["n_erased"], found["n_without_key"]) == (KILLS, KILLS, 0), found


def test_with_replicas_it_is_complete_when_each_has_confirmed(tmp_path, heldout):
    row = heldout(MODEL)[0].tolist()
    house, other = asking(tmp_path / "one"), asking(tmp_path / "two")
    for each in (house, other):
        with each:
            ask(each, row, "patient 17")
    (house.folder / "replicas.txt").write_text("# the others\n../two\n../three\n")
    erase = ("erase", "--subject", "patient 17", "--reason", "art 17")
    done = house.run(*erase)
    assert done.returncode == 3 and "three: NOT CONFIRMED" in done.stdout, done.stdout
    for each in (house, other):
        assert report(each)["n_erased"] == 1
    (house.folder / "replicas.txt").write_text("../two\n")
    house.cli(*erase)


def test_the_whole_disk_is_lost_and_restored(tmp_path, heldout):
    row = heldout(MODEL)[0].tolist()
    with asking(tmp_path / "env") as house:
        kept = ask(house, row, "patient 17")
        house.cli("backup", "--to", str(tmp_path / "b"), "--keys-to", str(tmp_path / "k"))
        lost = ask(house, row, "patient 17")
    shutil.copytree(house.folder / "kek", tmp_path / "kek")
    shutil.rmtree(house.folder)
    house.folder = tmp_path / "again"
    house.folder.mkdir(mode=0o700)
    restore = ("restore", "--from", "b", "--keys-from", "k", "--kek", "kek", "again")
    done = subprocess.run([BINARY, *restore], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "what the record commits to" in house.cli("trace", kept)
    assert house.run("trace", lost).returncode == 1
    house.cli("init", "--renew-tls", str(house.folder), inside=False)
    with house:
        ask(house, row, "patient 17")
    assert report(house)["n_opened"] == 2
