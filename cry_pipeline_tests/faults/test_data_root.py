"""A data root under faults: killed at every request, many writers, services that are slow, fail, or lose an answer.

With ``CRY_PIPELINE_FAULTS=full`` (`make faults`) all of it, against SeaweedFS; else less, against moto's server.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cry_pipeline.orchestration.lease import honours_conditions
from cry_pipeline.storage.bucket import Bucket, side_by_side
from cry_pipeline.storage.root import FILES, DataRoot
from cry_pipeline_tests.buckets import make_bucket, seaweedfs, unreliable
from cry_pipeline_tests.faults.root_actors import lay

ACTORS = [sys.executable, "-m", "cry_pipeline_tests.faults.root_actors"]


@pytest.fixture(scope="module")
def service(full: bool, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """The environment variables of a service: SeaweedFS in full tests, else moto's."""
    if full:
        with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as environment:
            yield environment
    else:
        yield request.getfixturevalue("_s3_service")


@pytest.fixture
def place(service: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket there."""
    for name, value in service.items():
        monkeypatch.setenv(name, value)
    return make_bucket(service)


def texts(root: DataRoot) -> dict[str, str]:
    """Return the files of a working copy."""
    return {path.relative_to(root.folder).as_posix(): path.read_text() for path in root.folder.rglob("runs/**/*.*")} | {
        path.relative_to(root.folder).as_posix(): path.read_text() for path in root.folder.rglob("part")
    }


def test_killed_at_every_request_a_push_is_done_or_was_never_begun(
    place: str, tmp_path: Path, full: bool, counted
) -> None:
    stride = 1 if full else 15
    command = [*ACTORS, "killed_at_every_request", place, str(tmp_path / "killed"), str(stride)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ, timeout=600).stdout
    outcomes = [json.loads(line) for line in told.splitlines()]
    assert outcomes[-1]["done"]
    old, new = lay(tmp_path / "laid", "old"), lay(tmp_path / "laid", "new")
    for number, outcome in enumerate(outcomes):
        reader = DataRoot(Bucket(outcome["root"]), tmp_path / "readers" / str(number))
        reader.pull()
        assert texts(reader) in (old, old | new)
        assert not outcome["done"] or texts(reader) == old | new
        killed = DataRoot(Bucket(outcome["root"]), tmp_path / "killed" / outcome["folder"])
        killed.pull()
        killed.push()
        reader.pull()
        assert texts(reader) == old | new  # goes on with what it had finished
        reader.collect(0, change=True)
        assert len(reader.bucket.objects(FILES)) == len(old | new)
        reader.pull()
    counted(kills=sum(not outcome["done"] for outcome in outcomes), files_lost=0, half_trees=0)


def test_writers_at_once_lose_nothing(place: str, tmp_path: Path, full: bool, counted) -> None:
    writers, pushes = (6, 15) if full else (2, 4)
    commands = [[*ACTORS, "adding", place, str(tmp_path), f"writer{name}", str(pushes)] for name in range(writers)]
    processes = [subprocess.Popen(command, env=os.environ) for command in commands]
    assert [process.wait(300) for process in processes] == [0] * writers
    reader = DataRoot(Bucket(place), tmp_path / "reader")
    reader.pull()
    found = {path.name: path.read_text() for path in (reader.folder / "judgements").iterdir()}
    wanted = {
        f"writer{name}-{number}.json": f"writer{name} {number}" for name in range(writers) for number in range(pushes)
    }
    assert found == wanted
    counted(pushes=writers * pushes, files_lost=0)


def test_slow_refused_and_lost_requests_cost_time_alone(
    service: dict[str, str], place: str, tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch, counted
) -> None:
    harmed: list[str] = []

    def harm(chance: random.Random) -> str:
        what = chance.choices(["", "slow", "lost", "refused"], [7, 1, 1, 1])[0]
        harmed.extend([what] if what else [])
        return what

    rounds = 5 if full else 1
    with unreliable(service, harm) as environment, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", environment["AWS_ENDPOINT_URL"])
        writer, reader = (DataRoot(Bucket(f"{place}/harmed"), tmp_path / name) for name in ("writer", "reader"))
        files: dict[str, str] = {}
        for number in range(rounds):
            files |= lay(writer.folder, f"run{number}")
            writer.push()
            reader.pull()
            assert texts(reader) == files
    assert harmed
    counted(requests_harmed=len(harmed), files_lost=0)


def test_conditions_are_honoured_and_all_pages_are_listed(place: str, full: bool, counted) -> None:
    bucket = Bucket(f"{place}/many")
    honours_conditions(bucket)
    count = 2100 if full else 50
    paths = [f"files/{number:05d}/content" for number in range(count)]
    side_by_side(lambda path: bucket.write(path, b"1"), paths)
    assert [entry.path for entry in bucket.objects("files")] == paths
    assert bucket.names() == ["clock", "files"]
    bucket.remove(*paths)
    assert bucket.objects("files") == []
    counted(objects_listed=count)
