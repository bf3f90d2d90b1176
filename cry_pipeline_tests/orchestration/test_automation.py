"""What is asked for by itself: once a thing is to be done until it is done, and no more often than that."""

import datetime as dt
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from cry_pipeline.corpus import manifest
from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.ledger import LEDGER
from cry_pipeline.corpus.tombstones import add_tombstones
from cry_pipeline.orchestration import automation
from cry_pipeline.orchestration.asset_keys import CHAMPION
from cry_pipeline.orchestration.automation import INBOX_TAG, inbox_sensor, weekly_catch_up
from cry_pipeline.orchestration.conditions import ATTEMPTS
from cry_pipeline.orchestration.launch import QUIET
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.training import runs
from cry_pipeline_tests.clocks import set_back
from cry_pipeline_tests.orchestration.installations import REFUSED, Installation
from cry_pipeline_tests.orchestration.test_materialization import counts, stale

MONDAY = dt.datetime(2026, 11, 23, 4, 0, tzinfo=dt.UTC)
A_DONATION_BYTES = 1_000_000
"""Dagster never forgets what it has on record, but for retention."""
UPLOADS = "donateacry-android-upload-bucket"
UPLOADS_RUN = "runs/uploads/donor_grouped/logistic_regression"
UPLOADS_EVIDENCE = "evidence/uploads/donor_grouped/logistic_regression"
OF_RECORDINGS = {
    "reports/feature_sets",
    "reports/feature_store",
    "reports/flow",
    "reports/how_much_data",
    "reports/contradicted_labels",
}
"""Reports that tell of recordings, their features and evidence; others of recordings are made with the ingestion."""


def donate(installation: Installation, corpus: Path, reason: str = "hu") -> Path:
    """Put a cry by a new donor into the inbox: an upload of the corpus with some bytes of its own."""
    upload = next(path for path in sorted((corpus / UPLOADS).iterdir()) if path.stem.endswith("-hu"))
    donation = installation.settings.inbox / f"0c8f14a9-6999-485b-97a2-913c1cbf099c-1431028888092-1.7-m-26-{reason}.3gp"
    # A trailing box that players skip: other bytes, the same sound.
    donation.write_bytes(upload.read_bytes() + b"\x00\x00\x00\x0cfreemine")
    return donation


def ask(installation: Installation) -> dg.RunRequest | dg.SkipReason:
    """Let the inbox sensor look once, as the code location would."""
    with installation.instance() as instance:
        context = dg.build_sensor_context(
            instance=instance,
            resources={"workspace": Workspace.of(installation.settings)},
            definitions=installation.definitions,
        )
        answer = inbox_sensor(context)
    assert isinstance(answer, (dg.RunRequest, dg.SkipReason))
    return answer


def said(answer: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def run_key(answer: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(answer, dg.RunRequest)
    assert answer.run_key
    return answer.run_key


def ingest(
    installation: Installation, *assets: str, tags: Mapping[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    """Run the ingest job, or those of its assets alone, as if it had been killed after them."""
    with installation.instance() as instance:
        return installation.definitions.resolve_job_def("ingest").execute_in_process(
            instance=instance,
            run_config=QUIET,
            raise_on_error=False,
            tags=dict(tags or {}),
            asset_selection=[dg.AssetKey.from_user_string(name) for name in assets] or None,
        )


class Week:
    """Evaluations of all conditions, one after the other, at times of our own."""

    def __init__(self, installation: Installation) -> None:
        self.installation, self.cursor = installation, None

    def look(self, at: dt.datetime) -> set[str]:
        """Return the assets that are asked for in one evaluation."""
        definitions = self.installation.definitions
        with self.installation.instance() as instance:
            result = dg.evaluate_automation_conditions(definitions, instance, cursor=self.cursor, evaluation_time=at)
        self.cursor = result.cursor
        keys = definitions.resolve_asset_graph().materializable_asset_keys
        return {key.to_user_string() for key in keys if result.get_num_requested(key)}

    def run(self, names: set[str]) -> dg.ExecuteInProcessResult:
        """Run what was asked for, in one run, as the daemon does."""
        with self.installation.instance() as instance:
            job = self.installation.definitions.resolve_implicit_global_asset_job_def()
            return job.execute_in_process(
                instance=instance,
                run_config=QUIET,
                raise_on_error=False,
                asset_selection=[dg.AssetKey.from_user_string(name) for name in names],
            )


@pytest.fixture
def week(installation: Installation) -> Week:
    return Week(installation)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor does not wait between attempts."""
    monkeypatch.setattr(automation, "WAITS_S", (0,) * len(automation.WAITS_S))


@pytest.fixture
def no_manifest() -> Iterator[pytest.MonkeyPatch]:
    """Manifests cannot be made; undo it to mend that."""
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("poisoned.wav cannot be read")

        patch.setattr(manifest, "build_manifest", fail)
        yield patch


def home_bytes(installation: Installation) -> int:
    """What Dagster keeps on record of the installation, but for logs of the sensors' looks, which come each day."""
    home = installation.settings.dagster_home
    files = (file for file in home.rglob("*") if file.is_file() and "__repository__" not in file.parts)
    return sum(file.stat().st_size for file in files)


def test_new_donation_gets_its_row_and_its_features_alone_and_is_a_short_record(installation, tiny_corpus):
    donation = donate(installation, tiny_corpus)
    run_key(ask(installation))
    before = home_bytes(installation)
    ingested = counts(installation.run("ingest"))
    assert home_bytes(installation) - before < A_DONATION_BYTES
    assert ingested["raw/donations"] == (1, 1), "of what stays, it is known why"
    assert ingested["manifests/recordings"][0] == 0, "it was decoded when it was taken in"
    assert not donation.exists()
    assert {asset: computed for asset, (computed, _) in ingested.items() if asset.startswith("features/")} == {
        "features/mel64_8k": 1,
        "features/mel128_8k": 1,
        "features/babycare_22k": 1,
    }
    assert not any(asset.startswith("runs/") for asset in ingested)
    assert donation.name in (installation.settings.reports / "donations.html").read_text(encoding="utf-8")
    assert "are made of the files that there are" in said(ask(installation))


MANIFEST = ["raw/donations", "raw/inventory", "manifests/recordings", "manifests/quarantine"]


@pytest.mark.parametrize("done", [MANIFEST[:1], MANIFEST[:2], MANIFEST])
def test_donation_whose_ingestion_was_killed_half_way_is_asked_for_again(installation, tiny_corpus, done):
    donate(installation, tiny_corpus)
    first = run_key(ask(installation))
    ingest(installation, *done)
    assert run_key(ask(installation)) != first
    assert ingest(installation).success
    assert "are made of the files that there are" in said(ask(installation))


def test_state_of_the_inbox_that_comes_back_is_taken_in_again(installation, tiny_corpus):
    donation = donate(installation, tiny_corpus)
    donation.write_bytes(b"no sound")
    keys = [run_key(ask(installation))]
    assert run_key(ask(installation)) == keys[0]  # nothing happened in between: not to be asked for twice
    ingest(installation, *MANIFEST)
    away = donation.rename(installation.settings.data / donation.name)
    keys.append(run_key(ask(installation)))
    ingest(installation, *MANIFEST)
    away.rename(donation)
    keys.append(run_key(ask(installation)))
    assert len(set(keys)) == 3


@pytest.mark.usefixtures("at_once")
def test_intake_that_was_killed_before_there_was_an_inventory_is_asked_for_again(installation, tiny_corpus):
    donate(installation, tiny_corpus)
    answer = ask(installation)
    with installation.instance() as instance:
        job = installation.definitions.resolve_job_def("ingest")
        assert isinstance(answer, dg.RunRequest)
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags=dict(answer.tags))
    assert run_key(ask(installation)) != run_key(answer)


@pytest.mark.usefixtures("at_once")
def test_what_cannot_be_taken_in_is_tried_a_few_times_and_then_said(installation, tiny_corpus, no_manifest):
    donate(installation, tiny_corpus)
    ingest(installation, "raw/donations")  # the archive is another state than the inbox was
    keys = []
    for _ in range(ATTEMPTS):
        answer = ask(installation)
        keys.append(run_key(answer))
        assert isinstance(answer, dg.RunRequest)
        assert not ingest(installation, tags=answer.tags).success
    assert len(set(keys)) == ATTEMPTS
    assert f"{ATTEMPTS} runs failed to take them in" in said(ask(installation))
    assert "launch the job `ingest` yourself" in said(ask(installation))
    no_manifest.undo()
    ingest(installation)
    assert "are made of the files that there are" in said(ask(installation))


def test_failed_ingestion_is_tried_again_after_a_while(installation, tiny_corpus, no_manifest):
    donate(installation, tiny_corpus)
    ingest(installation, "raw/donations")
    answer = ask(installation)
    assert isinstance(answer, dg.RunRequest)
    assert INBOX_TAG in answer.tags
    ingest(installation, tags=answer.tags)
    assert "it is tried again in" in said(ask(installation))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(automation, "time", set_back())
        assert isinstance(ask(installation), dg.RunRequest), "not when the clock has caught up"


def test_ingestion_in_progress_is_not_asked_for_twice(installation, tiny_corpus):
    donate(installation, tiny_corpus)
    run_key(ask(installation))
    with installation.instance() as instance:
        job = installation.definitions.resolve_job_def("ingest")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert f"Run {run.run_id} (ingest) is at it" in said(ask(installation))


def test_a_lost_secret_is_said_and_lets_nothing_withdrawn_come_again(installation):
    settings = installation.settings
    add_tombstones(settings.withdrawn, settings.secret, donors=["0c8f14a9-6999-485b-97a2-913c1cbf099c"], recordings=[])
    settings.secret.unlink()
    assert "put a copy of it back" in said(ask(installation))


def test_folder_that_cannot_be_listed_is_said_and_never_taken_for_empty(installation):
    shutil.rmtree(installation.settings.inbox)
    assert "cannot be listed" in said(ask(installation))


def test_sensor_waits_for_a_first_inventory(settings):
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"workspace": Workspace.of(settings)})
        answer = inbox_sensor(context)
    assert isinstance(answer, (dg.RunRequest, dg.SkipReason))
    assert "Nothing has been ingested yet" in said(answer)


def test_donation_sent_twice_is_quarantined_not_lost(installation, tiny_corpus):
    donation = donate(installation, tiny_corpus)
    shutil.copy(donation, donation.with_name(donation.name.replace("1431028888092", "1431028999092")))
    result = counts(ingest(installation, *MANIFEST))
    quarantine = pd.read_parquet(installation.settings.manifests / "quarantine.parquet")
    assert result["raw/donations"][0] == 1
    assert "duplicate" in quarantine.loc[quarantine["root"] == "inbox", "reason"].tolist()


def test_what_lay_in_the_inbox_before_there_was_an_archive_moves_there_and_what_is_made_of_it_stays(installation):
    settings = installation.settings
    archive = Archive.open(settings.archive, settings.cache)
    for row in archive.read().itertuples():
        (settings.inbox / str(row.name)).write_bytes(archive.locate(str(row.recording_id)).read_bytes())
    shutil.rmtree(settings.archive)
    (settings.cache / LEDGER).unlink()
    moved = counts(ingest(installation))
    assert [path.name for path in settings.inbox.iterdir()] == [REFUSED]
    assert len(archive.listing()) == 1
    assert {name: computed for name, (computed, _) in moved.items() if name.startswith("features/")} == dict.fromkeys(
        ["features/mel64_8k", "features/mel128_8k", "features/babycare_22k"], 0
    )
    assert not [name for name in stale(installation) if name.startswith(("features/", "folds/", "runs/", "evidence/"))]


def test_nothing_is_asked_for_where_everything_is_current(week):
    assert week.look(MONDAY - dt.timedelta(days=1)) == set()
    ingest(week.installation)
    assert week.look(MONDAY) == set()


def test_run_and_its_evidence_are_asked_for_together_once_the_week_begins(week, tiny_corpus):
    sunday = MONDAY - dt.timedelta(days=1)
    assert week.look(sunday) == set()
    donate(week.installation, tiny_corpus)
    ingest(week.installation)
    # The folds are others than those of the run: neither it, before Monday, nor its evidence, before the run.
    assert week.look(sunday + dt.timedelta(hours=1)) == {*OF_RECORDINGS, "reports/site"}
    assert {UPLOADS_RUN, UPLOADS_EVIDENCE} <= week.look(MONDAY)
    asked = {UPLOADS_RUN, UPLOADS_EVIDENCE}
    assert week.run(asked).success
    # One that its evidence is of goes on to the reports, in a run of their own, and to nothing else.
    later = week.look(MONDAY + dt.timedelta(minutes=5))
    assert later >= {"reports/leaderboard", "reports/experiments"}
    assert not any(name.startswith(("runs/", "evidence/", "models/")) for name in later)


def test_recording_outside_a_cohort_makes_nothing_of_it_stale(installation, tiny_corpus):
    donate(installation, tiny_corpus, reason="lo")  # a reason that no cohort asks for
    ingest(installation)
    assert stale(installation) == OF_RECORDINGS


def test_recording_in_one_cohort_makes_that_cohort_s_run_stale_alone(installation, tiny_corpus):
    donate(installation, tiny_corpus)
    ingest(installation)
    assert stale(installation) == {UPLOADS_RUN, *OF_RECORDINGS}


def test_champion_is_asked_for_where_the_study_was_never_run(week):
    with week.installation.instance() as instance:
        instance.wipe_assets([CHAMPION])
    assert week.look(MONDAY) == {"models/champion"}


def test_run_that_fails_is_asked_for_again_a_few_times_and_then_said(
    week, tiny_corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    week.look(MONDAY - dt.timedelta(days=1))
    donate(week.installation, tiny_corpus)
    ingest(week.installation)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(runs, "train_run", fail)
    for attempt in range(ATTEMPTS):
        asked = week.look(MONDAY + dt.timedelta(minutes=attempt))
        assert {UPLOADS_RUN, UPLOADS_EVIDENCE} <= asked, attempt
        assert not week.run({UPLOADS_RUN, UPLOADS_EVIDENCE}).success
    with caplog.at_level(logging.WARNING):
        asked = week.look(MONDAY + dt.timedelta(hours=1))
    assert not asked & {UPLOADS_RUN, UPLOADS_EVIDENCE}
    assert f"{UPLOADS_RUN} is not asked for any more: {ATTEMPTS} runs on the inputs of now have failed" in caplog.text
    # Reports show what there is; another donation is another try.
    donation = donate(week.installation, tiny_corpus)
    donation.write_bytes(donation.read_bytes() + b"\x00\x00\x00\x08free")
    donation.rename(donation.with_name(donation.name.replace("1431028888092", "1431028999092")))
    ingest(week.installation)
    assert UPLOADS_RUN in week.look(MONDAY + dt.timedelta(hours=2))


def test_weekly_catch_up_asks_for_everything_so_that_no_failed_run_is_forgotten(first_run):
    definitions = first_run[0].definitions
    job = definitions.resolve_job_def(weekly_catch_up.job_name)
    graph = definitions.resolve_asset_graph()
    assert job.asset_layer.executable_asset_keys == graph.materializable_asset_keys


def of_the_study(graph: BaseAssetGraph) -> set[dg.AssetKey]:
    return set(dg.AssetSelection.groups("study").resolve(graph))


def test_only_the_study_touches_what_is_of_the_study_alone(first_run):
    definitions = first_run[0].with_study().definitions
    graph = definitions.resolve_asset_graph()
    assert len(of_the_study(graph)) == 11  # four experiments' runs and evidence, on two folds of their own, and its end
    for job in ("everything", "ingest", "training"):
        assert not of_the_study(graph) & definitions.resolve_job_def(job).asset_layer.executable_asset_keys
    study = definitions.resolve_job_def("study").asset_layer.executable_asset_keys
    assert study == graph.materializable_asset_keys
    (sensor,) = [each for each in definitions.sensors or [] if each.name == "retraining"]
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert not of_the_study(graph) & sensor.asset_selection.resolve(graph)


def test_nothing_of_every_day_depends_on_the_study_and_nothing_of_the_study_has_a_condition(first_run):
    graph = first_run[0].with_study().definitions.resolve_asset_graph()
    assert of_the_study(graph)
    for key in of_the_study(graph):
        assert graph.get(key).automation_condition is None, key
        assert graph.get(key).child_keys <= of_the_study(graph), key


def test_graph_holds_the_study_only_where_it_is_asked_for(first_run):
    by_itself, asked = first_run[0].definitions, first_run[0].with_study().definitions
    graph, whole = by_itself.resolve_asset_graph(), asked.resolve_asset_graph()
    assert whole.materializable_asset_keys - graph.materializable_asset_keys == of_the_study(whole)
    assert whole.asset_check_keys - graph.asset_check_keys == {
        dg.AssetCheckKey(dg.AssetKey(["folds", "curation_temporal"]), "donors_on_one_side")
    }
    jobs, all_jobs = ({job.name for job in each.resolve_all_job_defs()} for each in (by_itself, asked))
    assert all_jobs - jobs == {"study"}
    # None of a sensor that Dagster adds by itself, and that would train the study with one switch.
    for definitions in (by_itself, asked):
        names = {sensor.name for sensor in definitions.get_repository_def().sensor_defs}
        assert names == {"inbox_sensor", "judging_sensor", "retraining", "failures"}
