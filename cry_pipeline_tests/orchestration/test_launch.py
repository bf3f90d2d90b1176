"""Starting a run: beside others on the same data, of a part of the graph, and as the UI knows it."""

import dagster as dg
import pytest
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

from cry_pipeline.definitions import build_definitions
from cry_pipeline.orchestration.executor import one_writer
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.launch import materialize, said_once
from cry_pipeline.orchestration.lock import BusyError, write_alone
from cry_pipeline.settings import Settings
from cry_pipeline_tests.command.test_main import run


def test_a_run_that_does_not_wait_is_refused_while_another_writes(settings: Settings) -> None:
    with write_alone(settings.data, "the test"):
        refused = run("run", "--wait", "0")
        with pytest.raises(BusyError, match=r"the test \(process"):
            materialize(build_definitions(settings), settings, wait_s=0.1)
    assert refused.returncode == 1
    assert "is being written by the test (process" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not settings.dagster_home.exists(), "nothing was recorded"


def test_a_cause_that_stops_many_assets_is_said_once() -> None:
    failures = [(f"runs/{name}", "the folds are damaged") for name in "abcd"] + [("runs/e", "failed")]
    assert list(said_once(failures)) == [
        "runs/a, runs/b, runs/c and 1 more: the folds are damaged",
        "runs/e: failed",
    ]


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ('key:"features/mel64_9k"', r"selects no asset \(is features/mel64_8k meant\?\)"),
        ("group:feature", r"selects no asset \(is features meant\?\); the groups are"),
        ("key:nothing/of/the/kind", r"selects no asset; the groups are"),
        ('kye:"features/mel64_8k"', r"is no selection: write e\.g\."),
    ],
)
def test_a_selection_of_nothing_is_told_the_nearest(selection: str, said: str, settings: Settings) -> None:
    with pytest.raises(ValueError, match=said):
        materialize(build_definitions(settings), settings, selection)


def test_one_of_two_assets_that_are_made_together_is_refused_in_a_sentence(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"manifests/recordings.* cannot be selected like this: .*quarantine"):
        materialize(build_definitions(settings), settings, 'key:"manifests/recordings"')


@dg.asset
def first() -> None:
    """Something to make."""


@dg.asset_check(asset=first)
def looked_at() -> dg.AssetCheckResult:
    """Something to check."""
    return dg.AssetCheckResult(passed=True)


@pytest.mark.parametrize(
    ("selection", "job", "selected"), [(None, "study", None), ("key:first", "__ASSET_JOB", {first.key})]
)
def test_the_ui_knows_whose_a_run_of_the_terminal_is(
    selection: str | None, job: str, selected: set[dg.AssetKey] | None, settings: Settings
) -> None:
    """Else it is in no job's list, nor on the start page, and cannot be done again from there."""
    study = dg.define_asset_job("study", selection="*")
    definitions = dg.Definitions([first], asset_checks=[looked_at], jobs=[study], executor=one_writer(settings))
    assert materialize(definitions, settings, selection, study=True) == 1
    with open_instance(settings) as instance:
        # As the page of a job asks.
        label = "__repository__@cry_pipeline.definitions"
        (run,) = instance.get_runs(dg.RunsFilter(job_name=job, tags={REPOSITORY_LABEL_TAG: label}))
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert run.asset_selection == selected
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.location_name == "cry_pipeline.definitions"
        if selected is None:
            assert run.job_snapshot_id == definitions.resolve_job_def(job).get_job_snapshot_id(), "not what the UI has"
        assert instance.get_latest_asset_check_evaluation_record(looked_at.check_key) is not None
