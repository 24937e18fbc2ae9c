"""A disk that has turned read-only: a clear error, nothing lost, and reading goes on."""

import subprocess

import pytest

from parts import MODEL, ROW, House


def test_a_read_only_disk_is_named_and_nothing_is_lost(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no volume can be mounted: {mounted.stderr.strip()}")
    try:
        small = {"volatile": True, "segment_bytes": 1048576}
        house = House(disk / "env", models=[MODEL], init=["--volatile"], ledger=small)
        with house:
            last = house.infer(MODEL, ROW).headers["bartizan-decision"]
            assert house.stop() == 0
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            done = house.run("serve")
            assert done.returncode == 3, (done.stdout, done.stderr)
            assert "ead-only file system" in done.stderr and "store" in done.stderr, done.stderr
            assert "in order" in house.cli("ledger", "verify")
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            house.start()
            assert house.infer(MODEL, ROW).status_code == 200
            assert last in house.cli("trace", last)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
