"""The mirror in MLflow: all of it once, whatever happens in between, and nothing of it where somebody is withdrawn."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.kept_runs import current_runs
from cry_pipeline.inference import refusals
from cry_pipeline.inference.bundle import verify
from cry_pipeline.inference.champions import history
from cry_pipeline.orchestration.mirroring import mirror_of
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.publishing.mirrored_models import Mirrored
from cry_pipeline.publishing.mlflow_server import MODEL, Server
from cry_pipeline.tracking import KIND, MIRRORED, RUN, TRAINING, TrackingError, tracking_uri
from cry_pipeline_tests.hostile import HOSTILE, unseen
from cry_pipeline_tests.mlflows import runs_of
from cry_pipeline_tests.orchestration.installations import ODD, Installation

if TYPE_CHECKING:
    from mlflow import MlflowClient

DONATED = ODD[:36]


def mirrored(installation: Installation, *, change: bool = True) -> Mirrored:
    settings = installation.settings
    return mirror_of(load_catalog(settings.catalog), Workspace.of(settings), change=change)


def content(client: "MlflowClient") -> dict[str, object]:
    """Return all that was told of runs, without MLflow's own ids and times of telling."""
    return {
        run.data.tags[RUN]: (run.info.run_name, run.info.status, run.data.params, run.data.metrics, run.data.tags)
        for run in runs_of(client, **{KIND: MIRRORED})
    }


def test_all_is_told_once_with_interval_verdict_page_and_bundle(
    installation: Installation, mlflow: "MlflowClient", tmp_path: Path
) -> None:
    settings = installation.settings
    planned = mirrored(installation, change=False)
    assert (runs_of(mlflow), planned.before) == ([], 0)
    done = mirrored(installation)
    assert (len(done.told), done.faults) == (len(planned.told), [])
    kept = current_runs(load_catalog(settings.catalog).experiments, settings.evidence, settings.runs)
    assert set(content(mlflow)) == {run.digest for run in kept}
    for run in kept:
        (there,) = runs_of(mlflow, **{RUN: run.digest})
        headline, metrics = run.evidence.headline, there.data.metrics
        told = (metrics["headline"], metrics["headline.low"], metrics["headline.high"])
        assert told == pytest.approx((headline.value, headline.low, headline.high))
        assert there.data.tags["verdict"] in ("not distinguishable from chance", run.evidence.verdict)
        assert there.data.tags["data"] == "SYNTHETIC"
        assert there.data.params["model"] == run.evidence.provenance.model
        page = settings.reports / "experiments" / f"{run.experiment}.html"
        found = mlflow.download_artifacts(there.info.run_id, f"report/{page.name}", str(tmp_path))
        assert Path(found).read_bytes() == page.read_bytes()
    version = mlflow.get_model_version_by_alias(MODEL, "champion")
    run_id, path = str(version.source).removeprefix("runs:/").split("/", 1)
    assert run_id == version.run_id
    bundle = mlflow.download_artifacts(run_id, path, str(tmp_path))
    assert verify(Path(bundle)) == history(settings.models)[-1].digest
    again = mirrored(installation)
    assert (again.told, again.before) == ([], len(kept) + 1)


def test_who_is_killed_in_between_is_gone_on_with(
    installation: Installation, mlflow: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = 0
    upload = Server.upload

    def killed(server: Server, run_id: str, files: dict[str, Path]) -> None:
        nonlocal uploads
        uploads += 1
        if uploads == 3:
            raise KeyboardInterrupt
        upload(server, run_id, files)

    with monkeypatch.context() as patch:
        patch.setattr(Server, "upload", killed)
        with pytest.raises(KeyboardInterrupt):
            mirrored(installation)
    half = runs_of(mlflow)
    assert len(half) == 3
    mirrored(installation)
    undisturbed = content(mlflow)
    assert {run.info.run_id for run in half} < {run.info.run_id for run in runs_of(mlflow)}
    assert all(entry[1] == "FINISHED" for entry in undisturbed.values())  # type: ignore[index]
    assert mirrored(installation).told == []


def test_what_changes_is_told_again_and_what_is_gone_here_is_no_run_of_now(
    installation: Installation, mlflow: "MlflowClient"
) -> None:
    mirrored(installation)
    settings = installation.settings
    first = runs_of(mlflow, cohort="curation")[0]
    mlflow.set_tag(first.info.run_id, "cry_pipeline.told", "something else")
    mlflow.create_run(first.info.experiment_id, run_name="curves", tags={KIND: TRAINING, RUN: first.data.tags[RUN]})
    assert len(mirrored(installation).told) == 1
    (curves,) = runs_of(mlflow, **{KIND: TRAINING})
    assert curves.data.tags["mlflow.parentRunId"] == first.info.run_id
    gone = next(run for run in runs_of(mlflow, protocol="clip_stratified"))
    folder = settings.runs / str(gone.info.run_name)
    folder.rename(settings.data / "elsewhere")
    assert any("no run of now" in line for line in mirrored(installation).told)
    assert mlflow.get_run(gone.info.run_id).data.tags["current"] == "false"
    assert mirrored(installation).told == []


def test_a_challenger_that_was_refused_is_a_version_without_files_as_long_as_the_refusal_stands(
    installation: Installation, mlflow: "MlflowClient"
) -> None:
    models = installation.settings.models
    champion = history(models)[-1]
    refusals.note(models, "c" * 64, champion.digest, champion.runs, ["cry: worse than the champion"])
    mirrored(installation)
    challenger = mlflow.get_model_version_by_alias(MODEL, "challenger")
    assert challenger.tags["holds"].startswith("nothing")
    assert "worse than the champion" in str(challenger.description)
    assert mlflow.get_model_version_by_alias(MODEL, "champion").tags["cry_pipeline.bundle"] == champion.digest
    assert mirrored(installation).told == []
    refusals.settle(models)
    assert mirrored(installation).told == ["challenger: none"]
    assert list(mlflow.get_registered_model(MODEL).aliases) == ["champion"]


def test_hostile_text_is_data(mlflow: "MlflowClient") -> None:
    server = Server(str(tracking_uri()))
    for what, text in HOSTILE.items():
        run_id = server.new_run("made_up", text, {RUN: what, "verdict": text}, 0)
        server.note(run_id, params={text: text}, metrics={text: 0.5}, tags={"mlflow.note.content": text})
        there = mlflow.get_run(run_id)
        said = [there.info.run_name, *there.data.params.items(), *there.data.metrics, *there.data.tags.values()]
        assert not unseen(repr(said)) - {"\n"}
        assert not unseen("".join(map(str, [there.info.run_name, there.data.tags["verdict"]]))) - {"\n"}
    assert len(runs_of(mlflow)) == len(HOSTILE)


def test_a_server_that_does_not_answer_is_said_and_stops_nothing(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:hidden@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with installation.instance() as instance, caplog.at_level(logging.WARNING, "cry_pipeline"):
        job = installation.definitions.resolve_implicit_global_asset_job_def()
        result = job.get_subset(asset_selection={_key("reports", "mlflow")}).execute_in_process(instance=instance)
    assert result.success
    assert result.get_asset_materialization_events() == []
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    said = [*(record.getMessage() for record in caplog.records), str(check.description)]
    assert all("MLflow at http://127.0.0.1:9 cannot be told" in each for each in said)
    assert not [each for each in said if "hidden" in each]
    with pytest.raises(TrackingError, match="cannot be told"):
        mirrored(installation)


def test_the_run_tells_it_where_the_variable_is_set(installation: Installation, mlflow: "MlflowClient") -> None:
    with installation.instance() as instance:
        job = installation.definitions.resolve_implicit_global_asset_job_def()
        result = job.get_subset(asset_selection={_key("reports", "mlflow")}).execute_in_process(instance=instance)
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["computed"].value == len(runs_of(mlflow)) + 2
    (check,) = result.get_asset_check_evaluations()
    assert check.passed


def test_without_the_variable_nobody_is_told_and_no_asset_is_there(installation: Installation) -> None:
    graph = installation.definitions.resolve_asset_graph()
    assert _key("reports", "mlflow") not in graph.materializable_asset_keys
    with pytest.raises(TrackingError, match="set MLFLOW_TRACKING_URI"):
        mirrored(installation)


def test_who_is_withdrawn_is_not_in_mlflow_either(installation: Installation, mlflow: "MlflowClient") -> None:
    from cry_pipeline_tests.donations.test_withdrawal import verify as search
    from cry_pipeline_tests.donations.test_withdrawal import withdraw

    settings = installation.settings
    mirrored(installation)
    recordings = Workspace.of(settings).recordings()
    uploads = recordings[(recordings["root"] == "corpus") & (recordings["processing"] == "raw")]
    donor = str(uploads["donor"].mode()[0])
    before = {run.info.run_id: run.info.run_name for run in runs_of(mlflow)}
    done = withdraw(settings, [donor])
    assert done.left == []
    gone = set(before.values()) - {run.info.run_name for run in runs_of(mlflow)}
    assert gone == {item.place.split("/")[1] for item in done.done if item.what == "run removed"}
    assert mlflow.search_model_versions(f"name='{MODEL}'") == []
    files = [path for path in Path("mlruns").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix == ".html" or "bundles" in path.parts]
    assert search(settings, [donor]) == []
    assert any("mlflow gc" in sentence for sentence in done.out_of_reach)


def test_a_mirror_that_is_out_of_reach_is_said_where_somebody_is_withdrawn(
    installation: Installation, mlflow: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    from cry_pipeline_tests.donations.test_withdrawal import withdraw

    mirrored(installation)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    planned = withdraw(installation.settings, [DONATED], change=False)
    assert any("set MLFLOW_TRACKING_URI to it" in sentence for sentence in planned.out_of_reach)


def _key(*path: str):
    import dagster as dg

    return dg.AssetKey(path)
