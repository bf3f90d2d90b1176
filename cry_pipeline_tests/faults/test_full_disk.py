"""A disk that is really full, where the tests may mount one: nothing is half written, and the store goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline_tests.faults.rows import open_store, rows_of, wrong_rows
from cry_pipeline_tests.features.store.looks import folder_of

DISK_KIB = 512
PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here; ENOSPC at each I/O call is injected in test_interruptions.py")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("operation", ["write", "compact"])
def test_full_disk(operation: str, disk: Path, full: bool, counted) -> None:
    store = open_store(disk / "features")
    store.write(rows_of(["a", "b"]))
    store.write(rows_of(["c"]))
    ballast = disk / "ballast"
    free = DISK_KIB * 1024 - sum(-(-p.stat().st_size // PAGE) * PAGE for p in disk.rglob("*") if p.is_file())
    refused, left = 0, 0
    while True:
        ballast.write_bytes(b"\0" * max(0, free - left))
        try:
            store.write(rows_of(["d"])) if operation == "write" else compact(store)
        except (OSError, FeatureStoreError):
            refused += 1
        else:
            break
        finally:
            ballast.unlink()
        assert store.recording_ids() == set("abc")
        assert wrong_rows(open_store(disk / "features"), "abc") == 0
        assert list((folder_of(store) / "tmp").iterdir()) == []
        left += PAGE if full else 3 * PAGE
    expected = "abcd" if operation == "write" else "abc"
    assert wrong_rows(open_store(disk / "features"), expected) == 0
    assert verify(store).faults == {}
    assert refused > 2
    counted(refused=refused, rows_lost=0, wrong_values=0, half_parts=0)
