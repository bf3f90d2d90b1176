"""Dagster's records forget whom they named, and stay what they were otherwise."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from cry_pipeline.donations.byte_search import search_folder
from cry_pipeline.donations.traces import Traces
from cry_pipeline.orchestration import forgetting
from cry_pipeline.orchestration.forgetting import BusyRecordsError, DagsterRecords, records_of
from cry_pipeline.orchestration.instance import open_instance

DONOR = "0a1b2c3d-0000-4000-8000-00000000000a"
TRACES = Traces((DONOR,), (), names=("Löwe am Abend, leise.wav",))
FILE = f"{DONOR.upper()}-1431028888000-1.7-f-04-hu.wav"


@dg.asset
def listed(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("left aside: %s", FILE)
    rows = [
        dg.TableRecord({"path": FILE}),
        dg.TableRecord({"path": TRACES.names[0]}),
        dg.TableRecord({"path": "other.wav"}),
    ]
    return dg.MaterializeResult(metadata={"files": dg.MetadataValue.table(rows)})


@pytest.fixture
def records(settings):
    """The records of an instance that ran one job, logged, and ticked."""
    settings.dagster_home.mkdir(parents=True)
    with open_instance(settings) as instance, records_of(settings) as records:
        job = dg.Definitions([listed]).resolve_implicit_global_asset_job_def()
        job.execute_in_process(instance=instance, tags={"cry_pipeline/file": FILE})
        (settings.dagster_home / "ui.log").write_text(f"18:00 {FILE} is refused\n18:01 other.wav is refused\n")
        yield records


def test_events_tags_and_logs_are_masked_and_can_still_be_read(settings, records):
    home = settings.dagster_home
    with (home / "ui.log").open("a") as log:  # as the UI has it open
        planned = list(records.forget(TRACES, change=False))
        assert planned == list(records.forget(TRACES, change=True))
        log.write("18:02 goes on\n")
    assert list(search_folder(home, TRACES.find)) == []
    assert list(records.forget(TRACES, change=True)) == []
    assert {item.place.partition("/")[2].split("/")[0] for item in planned} == {"history", "storage", "ui.log"}
    log_lines = (home / "ui.log").read_text().splitlines()
    assert log_lines[0].startswith("18:00 00000000-0000-0000-0000-000000000000-1431028888000")
    assert log_lines[1:] == ["18:01 other.wav is refused", "18:02 goes on"]
    event = records._instance.get_latest_materialization_event(dg.AssetKey("listed"))
    paths = [record.data["path"] for record in event.asset_materialization.metadata["files"].records]
    assert paths[0].startswith("00000000-0000")
    assert paths[1:] == ["x" * len(paths[1]), "other.wav"]


def test_what_a_database_freed_is_gone_too_and_a_busy_one_is_said(settings, records, monkeypatch):
    monkeypatch.setattr(forgetting, "BUSY_S", 0.1)
    (path,) = [item for item in records.forget(TRACES, change=False) if item.place.endswith("index.db")]
    database = settings.dagster_home / Path(path.place).relative_to("dagster_home")
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM event_logs").fetchone()
        with pytest.raises(BusyRecordsError, match="stop `cry-pipeline ui`"):
            list(records.forget(TRACES, change=True))
        other.rollback()
    assert list(records.forget(TRACES, change=True))
    assert list(search_folder(settings.dagster_home, TRACES.find)) == []


def test_a_server_of_databases_is_asked_as_well(settings, records, tmp_path, monkeypatch):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'server.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT)"))
        connection.execute(sa.text("INSERT INTO event_logs (event) VALUES (:e)"), {"e": json.dumps({"path": FILE})})
    monkeypatch.setattr(DagsterRecords, "_elsewhere", lambda _: iter([("Dagster's events", engine)]))
    assert {(hit.place, hit.what) for hit in records.search(TRACES.find)} == {("Dagster's events: event_logs", "donor")}
    assert any(item.place == "Dagster's events" for item in records.forget(TRACES, change=True))
    assert list(records.search(TRACES.find)) == []
