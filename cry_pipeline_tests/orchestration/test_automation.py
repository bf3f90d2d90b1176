"""A donation that arrives is taken in, its features alone are computed, and retraining is asked for."""

import datetime as dt
import shutil
from pathlib import Path

import dagster as dg
import pandas as pd
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from cry_pipeline.orchestration.automation import inbox_sensor, weekly_catch_up
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline_tests.orchestration.test_materialization import counts

MONDAY = dt.datetime(2026, 11, 23, 4, 0, tzinfo=dt.UTC)
UPLOADS = "donateacry-android-upload-bucket"


def donate(installation, corpus: Path) -> Path:
    """Put a hungry cry by a new donor into the inbox: an upload of the corpus with some bytes of its own."""
    upload = next(path for path in sorted((corpus / UPLOADS).iterdir()) if path.stem.endswith("-hu"))
    donation = installation.settings.inbox / "0c8f14a9-6999-485b-97a2-913c1cbf099c-1431028888092-1.7-m-26-hu.3gp"
    # A trailing box that players skip: other bytes, the same sound.
    donation.write_bytes(upload.read_bytes() + b"\x00\x00\x00\x0cfreemine")
    return donation


def ask(installation) -> dg.RunRequest | dg.SkipReason:
    with installation.instance() as instance:
        context = dg.build_sensor_context(
            instance=instance, resources={"workspace": Workspace.of(installation.settings)}
        )
        answer = inbox_sensor(context)
    assert isinstance(answer, (dg.RunRequest, dg.SkipReason))
    return answer


def requested(result: dg.EvaluateAutomationConditionsResult, installation) -> set[str]:
    keys = installation.definitions.resolve_asset_graph().materializable_asset_keys
    return {key.to_user_string() for key in keys if result.get_num_requested(key)}


def test_new_donation_gets_its_row_its_features_alone_and_retraining_asked_for(installation, tiny_corpus):
    definitions = installation.definitions
    with installation.instance() as instance:
        before = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=MONDAY - dt.timedelta(days=2))
        before = dg.evaluate_automation_conditions(
            definitions, instance, cursor=before.cursor, evaluation_time=MONDAY - dt.timedelta(days=1)
        )
    assert requested(before, installation) == set()
    donate(installation, tiny_corpus)
    assert isinstance(ask(installation), dg.RunRequest)
    ingested = counts(installation.run("ingest"))
    assert ingested["raw/inventory"][0] == 1
    assert ingested["manifests/recordings"][0] == 1
    assert {asset: computed for asset, (computed, _) in ingested.items() if asset.startswith("features/")} == {
        "features/mel64_8k": 1,
        "features/mel128_8k": 1,
        "features/babycare_22k": 1,
    }
    assert not any(asset.startswith("runs/") for asset in ingested)
    with installation.instance() as instance:
        after = dg.evaluate_automation_conditions(definitions, instance, cursor=before.cursor, evaluation_time=MONDAY)
    assert "runs/uploads_logistic_regression_donor_grouped" in requested(after, installation)
    assert isinstance(ask(installation), dg.SkipReason)


def test_recordings_outside_a_cohort_do_not_retrain_it(installation, tiny_corpus):
    donate(installation, tiny_corpus)
    computed = {asset for asset, (count, _) in counts(installation.run()).items() if count}
    assert {asset for asset in computed if asset.startswith("runs/")} == {
        "runs/uploads_logistic_regression_donor_grouped"
    }


def test_training_waits_for_the_weekly_tick(installation, tiny_corpus):
    definitions, sunday = installation.definitions, MONDAY - dt.timedelta(days=1)
    with installation.instance() as instance:
        before = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=sunday)
    donate(installation, tiny_corpus)
    installation.run("ingest")
    with installation.instance() as instance:
        early = dg.evaluate_automation_conditions(
            definitions, instance, cursor=before.cursor, evaluation_time=sunday + dt.timedelta(hours=1)
        )
        due = dg.evaluate_automation_conditions(definitions, instance, cursor=early.cursor, evaluation_time=MONDAY)
    assert not any(name.startswith("runs/") for name in requested(early, installation))
    assert any(name.startswith("runs/uploads") for name in requested(due, installation))


def test_inventory_taken_again_with_equal_content_asks_for_nothing(installation):
    definitions = installation.definitions
    with installation.instance() as instance:
        before = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=MONDAY - dt.timedelta(days=1))
    installation.run("ingest")
    with installation.instance() as instance:
        after = dg.evaluate_automation_conditions(definitions, instance, cursor=before.cursor, evaluation_time=MONDAY)
    assert requested(after, installation) == set()


def test_donation_sent_twice_is_quarantined_not_lost(installation, tiny_corpus):
    donation = donate(installation, tiny_corpus)
    shutil.copy(donation, donation.with_name(donation.name.replace("1431028888092", "1431028999092")))
    result = counts(installation.run("ingest"))
    quarantine = pd.read_parquet(installation.settings.manifests / "quarantine.parquet")
    assert result["manifests/recordings"][0] == 1
    assert quarantine.loc[quarantine["root"] == "inbox", "reason"].tolist() == ["duplicate"]


def test_run_key_is_the_state_of_the_sources(installation, tiny_corpus):
    donation = donate(installation, tiny_corpus)
    first, again = ask(installation), ask(installation)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert first.run_key == again.run_key
    donation.write_bytes(donation.read_bytes() + b"\x00\x00\x00\x08free")
    other = ask(installation)
    assert isinstance(other, dg.RunRequest)
    assert other.run_key != first.run_key


def test_folder_that_cannot_be_listed_is_said_and_never_taken_for_empty(installation):
    installation.settings.inbox.rmdir()
    answer = ask(installation)
    assert isinstance(answer, dg.SkipReason)
    assert "cannot be listed" in str(answer.skip_message)


def test_sensor_waits_for_a_first_inventory(settings, tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"workspace": Workspace.of(settings)})
        answer = inbox_sensor(context)
    assert isinstance(answer, dg.SkipReason)
    assert "Nothing has been ingested yet" in str(answer.skip_message)


def test_weekly_catch_up_asks_for_everything_so_that_no_failed_run_is_forgotten(first_run):
    definitions = first_run[0].definitions
    job = definitions.resolve_job_def(weekly_catch_up.job_name)
    graph = definitions.resolve_asset_graph()
    assert job.asset_layer.executable_asset_keys == graph.materializable_asset_keys - of_the_study(graph)


def of_the_study(graph: BaseAssetGraph) -> set[dg.AssetKey]:
    return {
        key for key in graph.materializable_asset_keys if key.path[-1].endswith(("_augment_then_split", "_temporal"))
    }


def test_only_the_study_touches_what_is_of_the_study_alone(first_run):
    definitions = first_run[0].definitions
    graph = definitions.resolve_asset_graph()
    assert len(of_the_study(graph)) == 8  # three experiments' runs and evidence, on two folds of their own
    for job in ("everything", "ingest", "training"):
        assert not of_the_study(graph) & definitions.resolve_job_def(job).asset_layer.executable_asset_keys
    study = definitions.resolve_job_def("study").asset_layer.executable_asset_keys
    assert study == graph.materializable_asset_keys
    (sensor,) = [each for each in definitions.sensors or [] if each.name == "retraining"]
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert not of_the_study(graph) & sensor.asset_selection.resolve(graph)
