"""Dagster's records in a real PostgreSQL: they forget whom they named, and its lock lets one daemon work."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cry_pipeline.orchestration import database
from cry_pipeline.orchestration.daemon import prepare
from cry_pipeline.orchestration.database import DatabaseError
from cry_pipeline.orchestration.forgetting import records_of
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.lock import BusyError
from cry_pipeline.settings import Settings
from cry_pipeline_tests.deploy import machine as machines
from cry_pipeline_tests.deploy.machine import MINUTES, Machine
from cry_pipeline_tests.orchestration.test_forgetting import DONOR, FILE, TRACES, listed
from cry_pipeline_tests.processes import wait_until

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if lacking := machines.missing():
        pytest.skip(lacking)
    empty = tmp_path_factory.mktemp("empty")
    with machines.machine(empty, empty, {}) as made:
        yield made


@pytest.fixture
def settings(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CRY_PIPELINE_DATABASE_URL", machine.database_url)
    return Settings(data=tmp_path)


def told(machine: Machine) -> list[str]:
    """Return the files of the database's tables whose bytes hold the donor, as it is or in capitals."""
    tables = machine.base / "database" / "base"
    content = {path: path.read_bytes() for path in tables.rglob("*") if path.is_file()}
    names = (DONOR.encode(), DONOR.upper().encode())
    return sorted(
        str(path.relative_to(tables)) for path, data in content.items() if any(name in data for name in names)
    )


def test_records_are_masked_and_nothing_of_them_is_left_in_the_tables(machine: Machine, settings: Settings) -> None:
    assert "PostgreSQL" in " ".join(prepare(settings))
    with open_instance(settings) as instance, records_of(settings) as records:
        job = dg.Definitions([listed]).resolve_implicit_global_asset_job_def()
        run = job.execute_in_process(instance=instance, tags={"cry_pipeline/file": FILE})
        with database.connected(settings.database_url or "") as connection:
            connection.exec_driver_sql("CHECKPOINT")
        assert told(machine)
        assert list(records.search(TRACES.find))
        planned = [item.what for item in records.forget(TRACES, change=False) if item.place.startswith("Dagster's")]
        assert planned
        assert list(records.search(TRACES.find))
        done = [item.what for item in records.forget(TRACES, change=True) if item.place.startswith("Dagster's")]
        assert done == planned
        assert list(records.search(TRACES.find)) == []
        assert told(machine) == []
        # The records stay, and can be read.
        event = instance.get_latest_materialization_event(dg.AssetKey("listed"))
        assert event is not None
        assert event.asset_materialization is not None
        found = event.asset_materialization.metadata["files"]
        assert isinstance(found, dg.TableMetadataValue)
        paths = [record.data["path"] for record in found.records]
        assert str(paths[0]).startswith("00000000-0000")
        assert paths[2] == "other.wav"
        assert instance.get_run_by_id(run.run_id) is not None


def test_the_lock_is_for_one_and_goes_with_the_connection(machine: Machine, settings: Settings) -> None:
    url = settings.database_url or ""
    with database.held(url) as first:
        assert database.is_held(first)
        with (
            pytest.raises(
                BusyError, match=r"Another daemon works on the database cry_pipeline .*: cry_pipeline daemon"
            ),
            database.held(url),
        ):
            pytest.fail("two held it")
        machine.stop_database()
        assert not database.is_held(first)
        with pytest.raises(DatabaseError, match="see that it runs"), database.held(url):
            pytest.fail("nobody answers")
        machine.start_database()
        with database.held(url) as second:
            assert database.is_held(second)


def test_one_daemon_works_ends_with_its_database_and_begins_again(machine: Machine) -> None:
    machine.prepare()
    first = machine.start("daemon")
    wait_until(lambda: "The daemon works." in first.said(), "the daemon works", 3 * MINUTES)
    second = machine.start("daemon-2", first.shipped)
    assert second.process.wait(3 * MINUTES) == 1
    who = "Another daemon works on the database cry_pipeline on database: cry_pipeline daemon 1 on daemon"
    assert who in " ".join(second.said().split())
    assert works(machine, first.shipped.name)
    machine.stop_database()
    wait_until(lambda: "the database is lost" in first.said(), "the loss is noticed", MINUTES)
    assert not works(machine, first.shipped.name)
    machine.start_database()
    wait_until(lambda: first.said().count("The daemon works.") == 2, "the daemon works again", 2 * MINUTES)
    assert first.is_running()
    assert "Traceback" not in first.said().partition("The daemon works.")[0]


def works(machine: Machine, service: str) -> bool:
    """Whether Dagster's daemon runs inside the service."""
    namespace = Path(f"/proc/{machine.running[service].first}/ns/pid").readlink()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns/pid").readlink() == namespace and b"dagster-daemon" in (folder / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False
