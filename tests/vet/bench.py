#!/usr/bin/env python3
"""Ours beside the peers: seconds and peak memory on the same rows, in turns, each in a process of its own."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import bench_quality

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PEER = """
import resource, sys, time, numpy as np, pyarrow.parquet as pq
name, path = sys.argv[1:]
t = pq.read_table(path).to_pandas(); y = t.pop('label').to_numpy(); X = t.to_numpy()
def probs(m):
    from sklearn.model_selection import cross_val_predict
    return cross_val_predict(m, X, y, cv=5, method='predict_proba')
def cleanlab(m):
    from cleanlab.filter import find_label_issues
    find_label_issues(y, probs(m), n_jobs=1)
from sklearn.linear_model import LogisticRegression; from sklearn.ensemble import HistGradientBoostingClassifier
import cleanlab.filter, pyod.models.ecod, pyod.models.iforest
if name == 'datalab': from cleanlab import Datalab
begun = time.perf_counter()
if name == 'cleanlab-lr': cleanlab_ = cleanlab; from cleanlab.filter import find_label_issues; find_label_issues(y, probs(LogisticRegression(max_iter=200)), n_jobs=1)
if name == 'cleanlab-hgb': from cleanlab.filter import find_label_issues; find_label_issues(y, probs(HistGradientBoostingClassifier(random_state=0)), n_jobs=1)
if name == 'ecod': pyod.models.ecod.ECOD().fit(X)
if name == 'iforest': pyod.models.iforest.IForest(random_state=0).fit(X)
if name == 'datalab':
    import contextlib, io
    lab = Datalab({'x': np.arange(len(X)), 'label': y}, label_name='label', verbosity=0)
    with contextlib.redirect_stdout(io.StringIO()): lab.find_issues(features=X, issue_types={'label': {}, 'outlier': {}, 'near_duplicate': {}, 'non_iid': {}})
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def make(path, n):
    """In a process of its own: what this one holds would count as its children's peak."""
    subprocess.run([sys.executable, "-c", "import bench, sys; bench.rows(sys.argv[1], int(sys.argv[2]))", str(path), str(n)],
                   check=True, cwd=pathlib.Path(__file__).parent)


def rows(path, n, c=30):
    import numpy as np
    import pandas as pd
    g = np.random.default_rng(0)
    x = g.standard_normal((n, c))
    y = (x[:, :5].sum(1) + g.standard_normal(n) > 0).astype(int)
    d = pd.DataFrame(x, columns=[f"f{i}" for i in range(c)])
    d["label"] = y
    d.to_parquet(path, compression="zstd")


def ours(binary, *args):
    begun = time.perf_counter()
    child = subprocess.Popen([binary, "vet", *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 1), child.stderr.read()
    return time.perf_counter() - begun, usage.ru_maxrss // 1024


def peer(name, path):
    env = dict(os.environ, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", PEER, name, str(path)], env=env, capture_output=True, text=True, check=True)
    seconds, peak = out.stdout.split()[-2:]
    return float(seconds), int(peak)


def pyarrow_read(path):
    code = "import sys, time, pyarrow.parquet as pq; begun = time.perf_counter(); pq.read_table(sys.argv[1]); print(time.perf_counter() - begun)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout), 0


def main():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = os.environ.get("BARTIZAN_BIN", str(target / "release/bartizan"))
    with tempfile.TemporaryDirectory() as folder:
        large, small, huge = (pathlib.Path(folder) / f"{n}.parquet" for n in ("100k", "20k", "1m"))
        make(large, 100_000), make(small, 20_000), make(huge, 1_000_000)
        runs = {
            "ours 100k": lambda: ours(binary, str(large), "--label", "label", "--threads", "2"),
            "ours 20k": lambda: ours(binary, str(small), "--label", "label", "--threads", "2"),
            "sketch 1m": lambda: ours(binary, str(huge), "--sketch"),
            "pyarrow 1m": lambda: pyarrow_read(huge),
            **{f"{name} 100k": (lambda name=name: peer(name, large)) for name in ("cleanlab-lr", "cleanlab-hgb", "ecod", "iforest")},
            "datalab 20k": lambda: peer("datalab", small),
        }
        best = {}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                seconds, peak = run()
                old = best.get(name, (1e9, 0))
                best[name] = (min(old[0], seconds), max(old[1], peak))
    print("| what | s | MiB |\n|---|---|---|")
    for name, (seconds, peak) in best.items():
        print(f"| {name} | {seconds:.2f} | {peak or '-'} |")
    peers = sum(best[f"{name} 100k"][0] for name in ("cleanlab-lr", "cleanlab-hgb", "ecod", "iforest"))
    limits = [
        ("ours 100k, share of the peers' sum", best["ours 100k"][0] / peers, 1 / 3),
        ("ours 20k, share of Datalab's", best["ours 20k"][0] / best["datalab 20k"][0], 1 / 10),
        ("memory 20k, share of Datalab's", best["ours 20k"][1] / best["datalab 20k"][1], 1 / 3),
        ("pyarrow's time, share of the sketch's (at least)", -best["pyarrow 1m"][0] / best["sketch 1m"][0], -1 / 4),
    ]
    print(json.dumps({name: round(abs(found), 3) for name, found, _ in limits}))
    broken = [name for name, found, limit in limits if limit < found]
    for name in broken:
        print(f"beyond its limit: {name}")
    is_good = bench_quality.main(binary)
    return 0 if is_good and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
