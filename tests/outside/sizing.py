"""What a million decisions take on disk, in CPU time and in memory: measured, then scaled.

    BARTIZAN_BIN=target/release/bartizan python tests/outside/sizing.py [decisions]

Prints a table of bytes per decision by part of the store, CPU per decision, and resident memory.
"""

import concurrent.futures
import json
import os
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "interop")]

import requests  # noqa: E402

from house import House, infer_body  # noqa: E402
from parts import MODEL, ROW  # noqa: E402

LANES = 4
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def used(folder):
    """Bytes of files, and blocks that they take, in KiB."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    stats = [path.stat() for path in files]
    return len(files), sum(stat.st_size for stat in stats), sum(stat.st_blocks for stat in stats) * 512


def wal_end(house):
    """The write-ahead log: bytes of its segments, records."""
    return json.loads(house.cli("ledger", "verify", "--format", "json"))


def ask(house, n):
    with requests.Session() as session:
        for _ in range(n):
            assert house.infer(MODEL, ROW, session=session).status_code == 200


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        # Small segments, since they are preallocated: what is measured is records.
        house = House(pathlib.Path(folder) / "env", models=[MODEL], ledger={"segment_bytes": 1 << 20})
        with house:
            ask(house, 200)
            time.sleep(1)
            report, tlog = wal_end(house), house.folder / "store/tlog"
            before = cpu_s(house.process.pid), report["n_bytes"], report["n_records"], used(tlog)
            with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
                list(pool.map(lambda _: ask(house, n // LANES), range(LANES)))
            time.sleep(1)
            cpu = cpu_s(house.process.pid) - before[0]
            memory = house.resident_mib()
            report = wal_end(house)
            made = report["n_records"] - before[2]
            wal = report["n_bytes"] - before[1]
            n_files, n_bytes, blocks = (new - old for new, old in zip(used(tlog), before[3]))
            body = len(infer_body(ROW))
        print(f"{made} decisions of one row, request bodies of {body} bytes")
        print(f"wal: {wal / made:.0f} bytes a decision ({wal / made / 1e3:.2f} GB a million)")
        print(f"tlog: {n_bytes / made:.0f} bytes in {n_files} files, {blocks / made:.0f} in blocks")
        print(f"cpu: {cpu / made * 1e6:.0f} us a decision ({cpu / made * 1e6 / 3600:.2f} core-hours a million)")
        print(f"memory: {memory:.0f} MiB resident at the end")


main()
