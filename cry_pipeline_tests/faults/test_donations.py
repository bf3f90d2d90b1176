"""Many donations at once under the real daemon, killed again and again: each one a row or refused, none lost or twice.

With `make faults`. The same for each single step of the intake, within one process, is in corpus/test_intake.py.
"""

import json
import os
import random
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from cry_pipeline.artefacts import DamagedFileError, read_table
from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.archive import Archive
from cry_pipeline.digests import sha256_of_file
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline_tests.faults.conftest import FULL
from cry_pipeline_tests.faults.test_processes import COMMAND, FEATURE_SET, MINUTES, Place, descendants, place_at
from cry_pipeline_tests.processes import wait_until

pytestmark = pytest.mark.skipif(not FULL, reason="minutes; with CRY_PIPELINE_FAULTS=full")
FILES, KILLS, DROPS = (int(os.environ.get(name, most)) for name, most in (("FILES", 500), ("KILLS", 3), ("DROPS", 5)))
RATE_HZ = 8000
DONOR = "0c8f14a9-6999-485b-97a2-{:012x}"


def sound(folder: Path, number: int) -> Path:
    """Write a donation of its own; every tenth is no sound, and every seventh is told of by a sidecar."""
    name = f"{DONOR.format(number % 50)}-{1_431_028_888_000 + number}-1.7-m-26-hu"
    if number % 7 == 3:
        told = {"donor": DONOR.format(number % 50), "recorded_at": "2026-01-02T03:04:05Z", "reason": "tired"}
        name = f"baby {number}"
        (folder / f"{name}.json").write_text(json.dumps(told))
    file = folder / f"{name}.wav"
    if number % 10 == 9:
        file.write_bytes(f"no sound {number}".encode())
    else:
        noise = np.random.default_rng(number).normal(0, 0.1, round(1.2 * RATE_HZ))
        soundfile.write(file, noise.astype(np.float32), RATE_HZ, subtype="PCM_16")
    return file


@contextmanager
def working(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """Run `cry-pipeline ui`: the daemon with all that it needs. At the end, or before, all of it is killed at once."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(free.getsockname()[1]) for free in (one, other)]
    command = [*COMMAND, "ui", "--port", ports[0], "--site-port", ports[1]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=place.environment, start_new_session=True, **quiet)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        for pid in [process.pid, *descendants(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def told(place: Place, table: str) -> pd.DataFrame:
    """Return the manifest or the quarantine as they are now; nothing while they are being made."""
    try:
        return read_table(place.settings.manifests / f"{table}.parquet")  # at once: it is replaced meanwhile
    except FileNotFoundError:
        return pd.DataFrame(columns=["root", "path", "name", "recording_id", "source"])


def idle(place: Place) -> bool:
    """Whether no run is waiting or in progress."""
    with open_instance(place.settings) as instance:
        return all(run.is_finished for run in instance.get_runs(limit=20))


def archive_of(place: Place) -> Archive:
    return Archive.open(place.settings.archive, place.settings.cache)


def readable(place: Place, recording_ids: set[str]) -> bool:
    """Whether the features of all these recordings can be read."""
    try:
        spec = load_catalog(place.settings.catalog).feature_sets[FEATURE_SET]
        manifest = read_table(place.settings.manifests / "recordings.parquet")
        if not recording_ids <= set(manifest["recording_id"]):
            return False
        store = FeatureStore.open(place.settings.features, spec).of(samples_of(manifest))
        return recording_ids <= store.recording_ids() and len(store.read(sorted(recording_ids), ["mel"])) > 0
    except (FileNotFoundError, DamagedFileError):
        return False


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An installation that has been run once."""
    made = place_at(tmp_path, {"cleaned_majority_donor_grouped"})
    subprocess.run([*COMMAND, "run"], env=made.environment, check=True, capture_output=True, timeout=20 * MINUTES)
    return made


def test_many_at_once_and_killed_all_are_a_row_or_refused_none_twice_none_lost(
    place: Place, tmp_path: Path, counted
) -> None:
    dropped, chance = tmp_path / "dropped", random.Random(14)  # noqa: S311
    dropped.mkdir()
    files = [sound(dropped, number) for number in range(FILES)]
    contents = {sha256_of_file(file): file.name for file in files}
    assert len(contents) == FILES
    before = len(told(place, "recordings"))
    for file in sorted(dropped.iterdir(), key=lambda file: file.suffix != ".json"):
        file.rename(place.settings.inbox / file.name)
    # While donations are taken in, twice, at a number of them; and once when all that follows is being made.
    sound_ones = sum(number % 10 != 9 for number in range(FILES))
    moments = [*sorted(chance.sample(range(1, sound_ones), KILLS - 1)), sound_ones]
    killed_at = []
    for archived in moments:
        with working(place):
            wait_until(lambda n=archived: len(archive_of(place).listing()) >= n, f"{archived} archived", 15 * MINUTES)
            if archived == sound_ones:
                time.sleep(chance.uniform(0, 10))
            killed_at.append(len(archive_of(place).listing()))
    with working(place):

        def done() -> bool:
            rows, refused = told(place, "recordings"), told(place, "quarantine")
            taken = set(rows["name"]) | set(refused["path"])
            return set(contents.values()) <= taken and readable(place, ids(rows)) and idle(place)

        def ids(rows: pd.DataFrame) -> set[str]:
            return set(rows.loc[rows["source"] == "inbox", "recording_id"])

        wait_until(done, "all are a row or refused, and have features", 20 * MINUTES)
    rows, refused = told(place, "recordings"), told(place, "quarantine")
    donated, refused = rows[rows["source"] == "inbox"], refused[refused["root"] == "inbox"]
    assert len(rows) == before + sound_ones, "none twice"
    assert len(donated) + len(refused) == FILES
    assert not set(donated["name"]) & set(refused["path"])
    assert {row.recording_id: row.name for row in donated.itertuples(index=False)}.items() <= contents.items()
    assert [kept.recording_id for kept in archive_of(place).listing()] == sorted(donated["recording_id"])
    for recording_id in donated["recording_id"]:
        assert sha256_of_file(archive_of(place).locate(recording_id)) == recording_id
    left = {path.name for path in place.settings.inbox.iterdir() if path.suffix == ".wav"}
    assert left == set(refused["path"])
    counted(files=FILES, kills=KILLS, rows=len(donated), refused=len(refused), lost=0, **_numbered(killed_at))


def _numbered(moments: list[int]) -> dict[str, int]:
    return {f"archived_at_kill_{number}": count for number, count in enumerate(moments, 1)}


def test_a_dropped_file_has_features_within_a_minute(place: Place, tmp_path: Path, counted) -> None:
    chance, took_s = random.Random(14), []  # noqa: S311
    with working(place):
        for number in range(DROPS):
            file = sound(tmp_path, 7 * number)
            wait_until(lambda: idle(place), "nothing is done", 5 * MINUTES)
            time.sleep(chance.uniform(0, 60))
            began, recording_id = time.monotonic(), sha256_of_file(file)
            file.rename(place.settings.inbox / file.name)
            wait_until(lambda id_=recording_id: readable(place, {id_}), "features can be read", 5 * MINUTES)
            took_s.append(time.monotonic() - began)
    assert statistics.median(took_s) <= 60
    counted(**{f"s_of_drop_{number}": round(seconds) for number, seconds in enumerate(took_s, 1)})
