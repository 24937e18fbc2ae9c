"""Checkpoints stamped by a real `openssl ts` authority; what fails is recorded and left unstamped."""

import subprocess

import pytest

from c2sp import Note
from house import Failed
from parts import MODEL, ROW, Authority, House, wait_for


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
