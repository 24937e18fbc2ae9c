"""Files people have, files nobody should have, and what is written."""
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import numpy as np
import pytest


@pytest.fixture(scope="session")
def data():
    g = np.random.default_rng(3)
    n = 900
    y = g.integers(0, 2, n)
    t = pa.table({
        "a": 3.0 * y + g.standard_normal(n), "b": g.standard_normal(n), "code": g.integers(0, 40, n),
        "kind": [["x", "y", "z"][i] for i in g.integers(0, 3, n)], "label": y,
    })
    code, label = t["code"].to_pylist(), t["label"].to_pylist()
    for i in range(0, n, 18):
        code[i], label[i] = 77, 1
    t = t.set_column(2, "code", pa.array(code)).set_column(4, "label", pa.array(label))
    return t, set(range(0, n, 18))


def write(table, path):
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif path.suffix == ".arrow":
        pyarrow.feather.write_feather(table, path, compression="uncompressed")
    elif path.suffix == ".npz":
        np.savez_compressed(path, **{c: np.array(table[c].to_pylist()) for c in table.column_names})
    else:
        pq.write_table(table, path, row_group_size=300)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "arrow", "npz"])
def test_every_format_gives_the_same_finding(run, data, tmp_path, suffix):
    table, planted = data
    path = tmp_path / f"rows.{suffix}"
    write(table, path)
    code, out, err = run(path, "--label", "label", "--format", "json")
    assert code == 1, err
    report = json.loads(out)
    assert any("code = 77" in f["claim"] for f in report["findings"])
    assert planted == set(report["flags"]["trigger"])


def test_a_folder_is_one_data_set_and_is_split_in_order(run, data, tmp_path):
    table, planted = data
    folder = tmp_path / "data"
    folder.mkdir()
    write(table.slice(0, 500), folder / "a.parquet")
    write(table.slice(500), folder / "b.parquet")
    outs = {name: tmp_path / name for name in ("bad.parquet", "good.parquet", "scores.parquet", "statement.json")}
    code, _, err = run(folder, "--label", "label", "--quarantine", outs["bad.parquet"], "--clean", outs["good.parquet"],
                       "--scores", outs["scores.parquet"], "--statement", outs["statement.json"])
    assert code == 1, err
    bad, good = pq.read_table(outs["bad.parquet"]), pq.read_table(outs["good.parquet"])
    assert bad.num_rows + good.num_rows == table.num_rows
    assert planted <= {i for i, c in enumerate(table["code"].to_pylist()) if c == 77}
    keep = [i for i in range(table.num_rows) if table["code"][i].as_py() != 77]
    assert good["b"].to_pylist() == table.take(keep)["b"].to_pylist()
    scores = pq.read_table(outs["scores.parquet"])
    assert scores.column_names == ["row", "issue", "score", "why"]
    statement = json.loads(outs["statement.json"].read_text())
    assert [s["name"] for s in statement["subject"]] == ["a.parquet", "b.parquet"]
    assert len(statement["predicate"]["files"][0]["row_groups_sha256"]) == 2
    assert "77" not in json.dumps(statement["predicate"]["findings"][0].get("claim", ""))


def test_html_and_sarif_are_whole(run, data, tmp_path):
    path = tmp_path / "<img src=x>.parquet"
    write(data[0], path)
    _, page, _ = run(path, "--label", "label", "--format", "html")
    assert b"<svg" in page and b"<img" not in page and b"<script" not in page and b"http" not in page.replace(b"http-equiv", b"")
    _, sarif, _ = run(path, "--label", "label", "--format", "sarif")
    assert json.loads(sarif)["runs"][0]["results"]


@pytest.mark.parametrize("name, content, code, part", [
    ("empty.csv", b"", 3, "empty"), ("cut.parquet", b"PAR1\x00\x00", 3, "truncated"), ("head.csv", b"a,b\n", 3, "without rows"),
    ("ragged.csv", b"a,label\n1,0\n2\n", 3, "record 3"), ("twice.csv", b"a,a\n1,2\n", 3, "rename one"),
    ("nocol.csv", b"a,b\n1,2\n", 2, "no column `label`"), ("nest.jsonl", b'{"a":{"b":1},"label":1}\n', 3, "nested"),
    ("three.csv", b"a,label\n1,0\n2,1\n3,0\n", 3, ""), ("const.csv", b"a,label\n" + b"1.5,0\n" * 50, 3, ""),
    ("latin1.csv", b"a,label\n" + b"caf\xe9,0\nth\xe9,1\n" * 30, 3, ""),
])
def test_bad_input_is_never_clean(run, tmp_path, name, content, code, part):
    path = tmp_path / name
    path.write_bytes(content)
    got, out, err = run(path, "--label", "label")
    assert (got == code or (name == "latin1.csv" and got == 1)) and part in err, (got, out, err)


def test_types_that_are_not_read_are_named(run, tmp_path):
    from decimal import Decimal
    for column in (pa.array([Decimal("1.5")]), pa.array([{"a": 1}]), pa.array([[1, 2]])):
        path = tmp_path / "odd.parquet"
        pq.write_table(pa.table({"odd": column, "label": [1]}), path)
        code, _, err = run(path, "--label", "label")
        assert code == 3 and "column `odd`" in err
