"""Keeping house: what nobody needs goes, listed before; what anything shown now was made of stays, and is reused."""

import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cry_pipeline.artefacts import read_json, write_json
from cry_pipeline.catalog import load_catalog
from cry_pipeline.definitions import build_definitions
from cry_pipeline.evaluation.evidence import evidence_folder, write_evidence
from cry_pipeline.evaluation.kept_runs import kept_runs
from cry_pipeline.inference import champions
from cry_pipeline.orchestration import dagster_home, maintenance, retention
from cry_pipeline.orchestration.dagster_home import old_runs
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.maintenance import House, Limits, MaintenanceError, maintain
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings
from cry_pipeline.training.current_runs import run_folder

NOW = timedelta(0)
AT_ONCE = Limits(results=NOW, dagster_runs=NOW, evaluations=NOW, logs=NOW, leftovers=NOW)
MODEL = "cleaned_logistic_regression_donor_grouped"


def house(settings: Settings, instance: dg.DagsterInstance, *, change: bool, limits: Limits = AT_ONCE) -> House:
    return House(load_catalog(settings.catalog), Workspace.of(settings), instance, change, limits)


def files(settings: Settings) -> set[str]:
    """All that the pipeline made, Dagster's records apart."""
    below = (path.relative_to(settings.data) for path in settings.data.rglob("*") if path.is_file())
    return {path.as_posix() for path in below if path.parts[0] != "dagster_home" and path.name != ".writer.lock"}


def copied(root: Path, experiment: str, name: str, to: str | None = None) -> Path:
    """Copy a run or evidence of ``experiment`` to where one of other parameters would lie."""
    made = max(filter(Path.is_dir, (root / experiment).iterdir()), key=retention._written_at)
    target = root / (to or experiment) / name
    shutil.copytree(made, target)
    for path in target.rglob("*"):
        os.utime(path, (1, 1))
    return target


def earlier(settings: Settings, digest: str, features: str, **changes: Any) -> tuple[Path, Path]:
    """Make a run of MODEL trained before, on ``features``, with evidence as that of now but for ``changes``."""
    now, *_ = kept_runs(MODEL, settings.evidence, settings.runs)
    run = run_folder(MODEL, digest, settings.runs)
    shutil.copytree(now.folder, run)
    for path in run.glob("*/provenance.json"):
        said: dict[str, Any] = read_json(path) | {"digest": digest, "started_at": "2020-01-01T00:00:00+00:00"}
        said["made_from"]["inputs"]["features"] = features
        write_json(path, said)
    provenance = now.evidence.provenance.model_copy(update={"run_digest": digest, "feature_digest": features})
    evidence = now.evidence.model_copy(update={"digest": digest, "provenance": provenance, **changes})
    where = evidence_folder(settings.evidence, MODEL, digest)
    write_evidence(evidence, where)
    for path in (*run.rglob("*"), *where.rglob("*")):
        os.utime(path, (1, 1))
    return run, where


def test_the_run_before_stays_while_it_can_be_compared_but_not_its_features(installation):
    settings, features = installation.settings, "9" * 64
    compared = earlier(settings, "b" * 64, features)
    elsewhere = earlier(settings, "c" * 64, features, folds_digest="0" * 64)
    arrays = Path(settings.features) / features
    arrays.mkdir()
    (arrays / "feature_set.json").touch()
    os.utime(arrays / "feature_set.json", (1, 1))
    with installation.instance() as instance:
        maintain(house(settings, instance, change=True))
    assert all(path.is_dir() for path in compared), "its predictions are what a comparison needs"
    assert not any(path.exists() for path in elsewhere), "on other folds, with which nothing of now can be compared"
    assert not arrays.exists()


def test_only_what_nobody_needs_is_listed_then_removed_and_all_else_is_reused(installation):
    settings = installation.settings
    before = files(settings)
    old = {
        copied(settings.runs, MODEL, "0123456789abcdef"),
        copied(settings.evidence, MODEL, "0123456789abcdef"),
        copied(settings.nulls, MODEL, "0123456789abcdef"),
        copied(settings.runs, MODEL, "fedcba9876543210", to="no_more_in_the_catalog"),
        settings.models / "champions" / "0000000000000000",
    }
    (settings.models / "champions" / "0000000000000000").mkdir(parents=True)
    first = champions.history(settings.models)[-1]
    champion = copied(settings.runs, MODEL, "cccccccccccccccc")
    bundle = champions.champion_folder(settings.models, "b" * 64)
    bundle.mkdir(parents=True)
    (bundle / "model.onnx").touch()
    made_of = {"experiment": MODEL, "run": "c" * 64}
    champions.switch(settings.models, champions.promotion("b" * 64, None, {"cry": made_of}, ["the test"]))
    torn = settings.reports / f".leaderboard.html.{'a' * 32}.tmp"
    torn.write_text("half")

    with installation.instance() as instance:
        all_files = files(settings)
        listed = {item.what for item in maintain(house(settings, instance, change=False))}
        wanted = {path.relative_to(settings.data).as_posix() for path in {*old, torn}}
        assert {what for what in listed if not what.startswith("dagster_home")} == wanted
        assert files(settings) == all_files, "a dry run changes nothing"
        maintain(house(settings, instance, change=True))
    assert not any(path.exists() for path in {*old, torn})
    assert not (settings.runs / "no_more_in_the_catalog").exists()
    assert champion.exists()
    assert bundle.exists()
    assert before <= files(settings)

    champions.switch(settings.models, champions.promotion(first.digest, "b" * 64, first.runs, ["the test is over"]))
    result = installation.run()
    assert result.success
    computed = {
        event.materialization.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.materialization.metadata["computed"].value
    }
    # The copy's archive is hashed once more; pages show the champion's history, and the parts put together.
    assert computed <= {"raw/inventory", "reports/champion", "reports/feature_store", "reports/live"}


def test_what_was_written_of_late_stays_for_a_while(installation):
    settings = installation.settings
    young = copied(settings.runs, MODEL, "0123456789abcdef")
    os.utime(next(path for path in young.rglob("*") if path.is_file()))
    with installation.instance() as instance:
        maintain(house(settings, instance, change=True, limits=Limits()))
    assert young.exists()


def test_runs_stay_while_it_is_not_known_what_evidence_rests_on(installation):
    settings = installation.settings
    old = copied(settings.runs, MODEL, "0123456789abcdef")
    (evidence,) = (settings.evidence / MODEL).glob("*/evidence.json")
    evidence.write_text("{")
    with installation.instance() as instance:
        maintain(house(settings, instance, change=True))
    assert old.exists()


def test_a_champion_whose_history_cannot_be_read_stops_the_removal_and_nothing_else(installation, monkeypatch):
    settings = installation.settings
    old = copied(settings.runs, MODEL, "0123456789abcdef")
    (settings.models).mkdir(exist_ok=True)
    (settings.models / champions.POINTER).write_text("{")
    monkeypatch.setattr(maintenance, "STEPS", (maintenance.prune_results, maintenance.remove_temporary_files))
    torn = settings.reports / f".leaderboard.html.{'a' * 32}.tmp"
    torn.write_text("half")
    with (
        installation.instance() as instance,
        pytest.raises(MaintenanceError, match=f"prune results: .*{champions.POINTER}"),
    ):
        maintain(house(settings, instance, change=True))
    assert old.exists()
    assert not torn.exists()


def test_a_bad_part_is_listed_then_set_aside(installation):
    settings = installation.settings
    part = sorted(Path(settings.features).glob("*/parts/*"))[0]
    chunk = max((path for path in part.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with chunk.open("r+b") as file:
        file.seek(chunk.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with installation.instance() as instance:
        listed = list(maintenance.verify(house(settings, instance, change=False)))
        assert part.exists()
        done = list(maintenance.verify(house(settings, instance, change=True)))
    assert [item.what for item in listed] == [item.what for item in done]
    assert part.name in done[0].what
    assert not part.exists()


def test_a_killed_removal_leaves_nothing_that_looks_whole_and_the_next_one_ends_it(settings: Settings, monkeypatch):
    folder = settings.runs / "an_experiment" / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "weights").touch()

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retention.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            retention.remove(settings, [folder])
    assert not folder.exists()
    retention.remove(settings, [])
    assert not settings.runs.joinpath("an_experiment").exists()


@dg.asset
def made() -> dg.MaterializeResult:
    """Leave a large record of itself."""
    return dg.MaterializeResult(metadata={"picture": "x" * 200_000})


def test_old_records_of_dagster_go_and_the_latest_of_each_asset_stays(settings: Settings, monkeypatch):
    monkeypatch.setattr(dagster_home, "KEPT_RUNS", 1)
    with open_instance(settings) as instance:
        runs = [dg.materialize([made], instance=instance).run_id for _ in range(4)]
        assert old_runs(instance, timedelta(days=1)) == []
        assert set(old_runs(instance, NOW)) == set(runs[:3])
        log = settings.dagster_home / "storage" / runs[0] / "compute_logs" / "made.err"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("old")
        before = retention.size(settings.dagster_home)
        list(maintenance.prune_dagster_home(house(settings, instance, change=True)))
        assert before - retention.size(settings.dagster_home) > 3 * 200_000
        assert not log.exists()
        assert [record.dagster_run.run_id for record in instance.get_run_records()] == runs[3:]
        event = instance.get_latest_materialization_event(made.key)
        assert event is not None
        assert event.run_id == runs[3]
        assert dg.materialize([made], instance=instance).success


def test_the_daemon_keeps_house_weekly(settings: Settings):
    definitions = build_definitions(settings)
    assert maintenance.maintenance_schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with open_instance(settings) as instance:
        torn = settings.data / f".x.{'a' * 32}.tmp"
        torn.write_text("half")
        long_ago = time.time() - 2 * 24 * 3600
        os.utime(torn, (long_ago, long_ago))
        job = definitions.resolve_job_def(maintenance.MAINTENANCE)
        assert job.execute_in_process(instance=instance, raise_on_error=False).success
        assert not torn.exists()
