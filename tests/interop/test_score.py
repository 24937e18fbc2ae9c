"""Files of rows through the same gates: whole, in order, and whole again after kills."""

import csv
import os
import signal
import subprocess
import time

import numpy
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
import tomllib

from house import BINARY, EXAMPLES, House

MODEL = "cancer-logistic"
N_ROWS = 300
BATCH = 10


def names():
    contract = tomllib.loads((EXAMPLES / MODEL / "contract.toml").read_text())
    return [feature["name"] for feature in contract["inputs"][0]["features"]]


@pytest.fixture(scope="module")
def scored(tmp_path_factory, heldout):
    """A house that does not serve, a file of rows, and what the protocol answers to them."""
    folder = tmp_path_factory.mktemp("scored")
    house = House(folder / "env", models=[MODEL])
    known = heldout(MODEL)
    rows = numpy.vstack([known] * (N_ROWS // len(known) + 1))[:N_ROWS].astype(numpy.float32)
    table = pyarrow.table({name: rows[:, at] for at, name in enumerate(names())})
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    with house:
        reply = house.infer(MODEL, rows.tolist()).json()
        house.stop()
    expected = {out["name"]: numpy.array(out["data"]).reshape(out["shape"]) for out in reply["outputs"]}
    return house, folder, rows, expected


def read(path):
    return pyarrow.parquet.read_table(path)


def check(path, expected, n_rows=N_ROWS):
    answers = read(path)
    assert answers["row"].to_pylist() == list(range(n_rows))
    assert answers["label"].to_pylist() == expected["label"].tolist()
    probabilities = numpy.array(answers["probabilities"].to_pylist(), dtype=numpy.float32)
    assert probabilities.tolist() == expected["probabilities"].astype(numpy.float32).tolist()
    assert set(answers["refused"].to_pylist()) == {""}
    return answers["decision"].to_pylist()


def score(house, folder, out, *more, code=0):
    return house.cli(
        "score", MODEL, "--in", str(folder / "rows.parquet"), "--out", str(out),
        "--batch", str(BATCH), *more, code=code,
    )


def test_a_file_is_answered_row_by_row_and_every_batch_is_on_record(scored, tmp_path):
    house, folder, _, expected = scored
    out = tmp_path / "answers.parquet"
    score(house, folder, out)
    decisions = check(out, expected)
    assert len(set(decisions)) == N_ROWS // BATCH
    assert not (tmp_path / "answers.parquet.part").exists()
    assert "allow" in house.cli("trace", decisions[0], "--format", "json").lower()
    # The run's own key ended with it.
    assert "active" not in [
        line.split()[1] for line in house.cli("key", "list").splitlines() if " score " in line
    ]
    # Answers go into a new file.
    score(house, folder, out, code=2)


def test_a_running_server_answers_the_same(scored, tmp_path):
    house, folder, _, expected = scored
    out = tmp_path / "answers.csv"
    with house:
        score(house, folder, out)
    lines = list(csv.DictReader(out.open()))
    assert [int(line["row"]) for line in lines] == list(range(N_ROWS))
    assert [int(line["label"]) for line in lines] == expected["label"].tolist()
    found = [[float(line["probabilities_0"]), float(line["probabilities_1"])] for line in lines]
    assert numpy.array(found, dtype=numpy.float32).tolist() == expected["probabilities"].astype(numpy.float32).tolist()


def test_no_row_is_twice_or_missing_however_often_it_is_killed(scored, tmp_path):
    house, folder, _, expected = scored
    out = tmp_path / "answers.parquet"
    part = tmp_path / "answers.parquet.part"
    command = [
        BINARY, "score", MODEL, "--in", str(folder / "rows.parquet"), "--out", str(out),
        "--batch", str(BATCH),
    ]
    n_killed = 0
    for target in (1, 3, 8, 15, 29):
        process = subprocess.Popen(
            command, cwd=house.folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        while process.poll() is None:
            if part.exists() and target <= len(list(part.glob("batch-*"))):
                process.send_signal(signal.SIGKILL)
                n_killed += 1
                break
            time.sleep(0.002)
        process.wait(30)
        if out.exists():
            break
    kept = {path.name: path.read_bytes() for path in part.glob("batch-*")} if part.exists() else {}
    assert 3 <= n_killed
    # Other terms are not gone on with.
    if part.exists():
        house.cli(*command[1:-1], "7", code=2)
    score(house, folder, out) if not out.exists() else None
    decisions = check(out, expected)
    assert len(set(decisions)) == N_ROWS // BATCH
    # What was kept was not asked again: its decisions are the answers'.
    for name, content in kept.items():
        again = tmp_path / name
        again.write_bytes(content)
        batch = read(again)
        first = batch["row"].to_pylist()[0]
        assert batch["decision"].to_pylist() == decisions[first:first + BATCH]
    house.cli("ledger", "verify")


def test_a_row_that_the_contract_refuses_is_alone_refused(scored, tmp_path):
    house, folder, rows, expected = scored
    bad = rows[:20].copy()
    bad[13, 0] = -1.0
    table = pyarrow.table({name: bad[:, at] for at, name in enumerate(names())})
    pyarrow.csv.write_csv(table, tmp_path / "rows.csv")
    out = tmp_path / "answers.parquet"
    done = house.run("score", MODEL, "--in", str(tmp_path / "rows.csv"), "--out", str(out))
    assert done.returncode == 1, done.stderr
    answers = read(out)
    refused = answers["refused"].to_pylist()
    assert [at for at, code in enumerate(refused) if code] == [13] and refused[13] == "input-refused"
    labels = answers["label"].to_pylist()
    assert labels[13] is None
    assert labels[:13] + labels[14:] == expected["label"][:20].tolist()[:13] + expected["label"][:20].tolist()[14:]


def test_a_broken_file_is_asked_about_nothing(scored, tmp_path):
    house, folder, _, _ = scored
    whole = (folder / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "answers.parquet"
    done = house.run("score", MODEL, "--in", str(tmp_path / "rows.parquet"), "--out", str(out))
    assert done.returncode == 3 and not out.exists(), done.stderr
    assert not os.path.exists(str(out) + ".part")
