"""A disk that is really full, where the tests may mount one: nothing is half written, and the work goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.launch import RecordsError, records_kept
from cry_pipeline.settings import Settings
from cry_pipeline_tests.faults.conftest import FULL
from cry_pipeline_tests.faults.contents import contents
from cry_pipeline_tests.faults.rows import open_store, rows_of, wrong_rows
from cry_pipeline_tests.faults.test_kills import CHAMPION, EXPERIMENTS
from cry_pipeline_tests.faults.test_processes import COMMAND, Place, place_at
from cry_pipeline_tests.features.store.looks import folder_of

DISK_KIB = 512
PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB of its own, whose name has spaces and letters that are not ASCII."""
    folder = tmp_path / "voller Datenträger \u2013 Bébé"
    folder.mkdir()
    if resize(folder):
        pytest.skip("no tmpfs can be mounted here; ENOSPC at each I/O call is injected in test_interruptions.py")
    yield folder
    subprocess.run(["umount", folder], check=True)


def resize(disk: Path, kib: int = DISK_KIB, *options: str) -> int:
    """Mount a disk, or with ``remount`` make it smaller or larger; return the exit code."""
    with_size = ",".join([*options, f"size={kib}k"])
    command = ["mount", "-t", "tmpfs", "-o", with_size, "tmpfs", disk]
    return subprocess.run(command, capture_output=True, check=False).returncode


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


def test_records_that_find_no_room_are_said_in_a_sentence(disk: Path) -> None:
    settings = Settings(data=disk / "data")
    (disk / "ballast").write_bytes(bytes((DISK_KIB - 100) * 1024))
    said = f"{settings.dagster_home}: no space is left for Dagster's records: make room, and run the same command again"
    with pytest.raises(RecordsError) as raised, records_kept(settings.dagster_home):
        open_instance(settings)
    assert str(raised.value).startswith(said)
    (disk / "ballast").unlink()
    assert resize(disk, 4 * DISK_KIB, "remount") == 0
    with records_kept(settings.dagster_home), open_instance(settings) as instance:
        assert instance.get_runs_count() == 0


@pytest.mark.skipif(not FULL, reason="ten minutes; with CRY_PIPELINE_FAULTS=full")
def test_a_run_goes_on_where_there_was_no_room_for_it(disk: Path, tmp_path: Path, counted) -> None:
    undisturbed = place_at(tmp_path, EXPERIMENTS, CHAMPION)
    assert run_at(undisturbed)[0] == 0
    data = disk / "data"
    settings = undisturbed.settings.model_copy(update={"data": data})
    place = Place(settings, undisturbed.environment | {"CRY_PIPELINE_DATA": str(data)})
    whole = sum(path.stat().st_blocks // 2 for path in undisturbed.settings.data.rglob("*"))
    refused = 0
    for share in (0.03, 0.06, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 0.95, 3):
        assert resize(disk, int(whole * share), "remount") == 0
        status, said = run_at(place)
        assert "Traceback" not in said
        assert status in (0, 1)
        if status:
            refused += 1
            assert str(disk) in said, said
            assert "what was finished is kept" in said.lower(), said
    assert status == 0, said
    assert refused > 6
    assert contents(settings) == contents(undisturbed.settings)
    counted(refused=refused, digests=len(contents(settings)), digests_unequal=0)


def run_at(place: Place) -> tuple[int, str]:
    """Run all; return the exit code, and what was said on stderr."""
    done = subprocess.run(
        [*COMMAND, "run"], env=place.environment, stderr=subprocess.PIPE, text=True, timeout=1200, check=False
    )
    return done.returncode, done.stderr
