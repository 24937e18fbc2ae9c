"""Checkpoints stamped by a real `openssl ts` authority; what fails is recorded and left unstamped."""

import subprocess

import pytest
import requests

from c2sp import Note
from house import Failed
from parts import MODEL, ROW, Authority, House, free_port, wait_for


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path / "tsa")
    yield made
    made.server.shutdown()


def stamps(house):
    return sorted((house.folder / "store/tlog/stamps").glob("*.tsr"))


def stamped(tmp_path, authority, root=None):
    keys = {"url": authority.url, "roots": str(root or authority.root), "interval_s": 1}
    return House(tmp_path / "env", models=[MODEL], time_stamps=keys)


def test_openssl_believes_what_we_keep(tmp_path, authority):
    with stamped(tmp_path, authority) as house:
        house.infer(MODEL, ROW)
        found = wait_for(lambda: stamps(house))[0]
        note = Note(found.with_suffix(".checkpoint").read_text())
        assert note.size == int(found.stem)
        (tmp_path / "text").write_text(note.text)
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-in", str(found), "-data", str(tmp_path / "text"),
             "-CAfile", str(authority.root)], capture_output=True, text=True,
        )
        assert "Verification: OK" in done.stdout, done.stderr
        (tmp_path / "text").write_text(note.text + "x\n")
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-in", str(found), "-data", str(tmp_path / "text"),
             "-CAfile", str(authority.root)], capture_output=True, text=True,
        )
        assert "Verification: OK" not in done.stdout


def test_verify_checks_the_stamps_and_says_what_it_could_not(tmp_path, authority):
    with stamped(tmp_path, authority) as house:
        house.infer(MODEL, ROW)
        wait_for(lambda: stamps(house))
    said = house.cli("ledger", "verify")
    assert "time stamps verify, the newest says that the first" in said, said
    store = house.folder / "store"
    unchecked = house.cli("ledger", "verify", str(store), code=3)
    assert "not checked: give the authority's roots" in unchecked, unchecked
    policy = tmp_path / "policy"
    policy.write_text(house.cli("ledger", "policy"))
    trusting = ["ledger", "verify", str(store), "--policy", str(policy), "--stamp-roots"]
    assert "in order" in house.cli(*trusting, str(authority.root))
    said = house.cli(*trusting, str(authority.folder / "stranger.pem"), code=1)
    assert "tlog/stamps/" in said and "not vouched for" in said, said
    one = stamps(house)[0]
    data = bytearray(one.read_bytes())
    data[-1] ^= 1
    one.write_bytes(data)
    said = house.cli("ledger", "verify", code=1)
    assert f"tlog/stamps/{one.name}" in said and "DAMAGED" in said, said


def test_metrics_say_how_far_others_know_the_log(tmp_path, authority):
    house = stamped(tmp_path, authority)
    address = f"127.0.0.1:{free_port()}"
    house.configure(operations={"address": address})
    with house:
        house.infer(MODEL, ROW)

        def number(name):
            text = requests.get(f"http://{address}/metrics", timeout=10).text
            [line] = [line for line in text.splitlines() if line.startswith(f"bartizan_ledger_{name} ")]
            return int(line.split()[1])

        assert number("anchored") == 0 and number("witnessed_records") == 0
        assert "unanchored" in (house.folder / "serve.log").read_text()
        stamped_records = wait_for(lambda: number("time_stamped_records"))
        assert 0 < stamped_records <= number("published_records")
        assert house.stop() == 0
        anchor = tmp_path / "elsewhere"
        anchor.mkdir()
        house.configure(ledger={"anchor": str(anchor)})
        house.start()
        assert number("anchored") == 1


def test_a_log_without_stamps_is_said_to_be_not_time_stamped(tmp_path):
    with House(tmp_path / "env", models=[MODEL]) as house:
        house.infer(MODEL, ROW)
    assert "not time-stamped" in house.cli("ledger", "verify")


def test_an_authority_that_fails_is_recorded_once_and_leaves_no_stamp(tmp_path, authority):
    authority.mood = "down"
    with stamped(tmp_path, authority) as house:
        wait_for(lambda: "not-stamped" in (house.folder / "serve.log").read_text())
        assert not stamps(house)
        assert house.infer(MODEL, ROW).status_code == 200
        authority.mood = "good"
        assert wait_for(lambda: stamps(house))


def test_an_answer_to_another_request_is_not_kept(tmp_path, authority):
    with stamped(tmp_path, authority) as house:
        wait_for(lambda: stamps(house))
        authority.mood = "replay"
        n_before = len(stamps(house))
        house.infer(MODEL, ROW)
        wait_for(lambda: "not-stamped" in (house.folder / "serve.log").read_text())
        assert len(stamps(house)) == n_before


def test_a_signer_that_no_root_vouches_for_is_not_believed(tmp_path, authority):
    with stamped(tmp_path, authority, authority.folder / "stranger.pem") as house:
        wait_for(lambda: "not vouched for" in (house.folder / "serve.log").read_text())
        assert not stamps(house)


def test_an_authority_without_roots_is_no_configuration(tmp_path):
    house = House(tmp_path / "env", models=[MODEL])
    house.configure(time_stamps={"url": "http://127.0.0.1:1/"})
    with pytest.raises(Failed) as said:
        house.start()
    assert "time_stamps.roots" in str(said.value)
