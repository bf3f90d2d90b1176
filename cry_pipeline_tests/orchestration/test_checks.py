"""Each blocking check fails when what it guards is broken, and what depends on it does not run."""

import dagster as dg
import pandas as pd
import pytest

from cry_pipeline.artefacts import write_table
from cry_pipeline.catalog import load_catalog
from cry_pipeline.definitions import build_definitions
from cry_pipeline.features.store import coverage
from cry_pipeline.features.store.coverage import Coverage
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.folds.splitting import read_folds
from cry_pipeline.orchestration.checks import (
    coverage_check,
    donations_taken,
    donor_check,
    featurized_check,
    finite_check,
    schema,
)
from cry_pipeline.orchestration.launch import QUIET, RunFailedError, materialize
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline_tests.features.store.looks import folder_of
from cry_pipeline_tests.orchestration.installations import REFUSED


def outcome(check: dg.AssetChecksDefinition, installation) -> dg.AssetCheckResult:
    """Call a check as Dagster does, with the installation's workspace."""
    found = check(Workspace.of(installation.settings))
    assert isinstance(found, dg.AssetCheckResult)
    return found


@pytest.fixture
def store(installation) -> FeatureStore:
    spec = load_catalog(installation.settings.catalog).feature_sets["mel64_8k"]
    return FeatureStore.open(installation.settings.features, spec)


def test_manifest_that_breaks_its_schema_is_refused(installation):
    path = installation.settings.manifests / "recordings.parquet"
    recordings = pd.read_parquet(path)
    assert outcome(schema, installation).passed
    write_table(path, recordings.assign(duration_s=-1.0), "digest")
    found = outcome(schema, installation)
    assert not found.passed
    assert "duration_s" in str(found.description)


def test_one_flipped_bit_in_the_manifest_is_refused(installation):
    path = installation.settings.manifests / "recordings.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 4
    path.write_bytes(damaged)
    found = outcome(schema, installation)
    assert not found.passed
    assert "is not what was written" in str(found.description)


def test_refused_donations_are_warned_of_with_count_and_reasons_and_block_nobody(installation):
    found = outcome(donations_taken, installation)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.description == "1 donations are refused: 1 undecodable"
    named = found.metadata["files"]
    assert isinstance(named, dg.TableMetadataValue)
    assert [row.data["path"] for row in named.records] == [REFUSED]
    assert not next(iter(donations_taken.check_specs)).blocking


def test_damage_is_a_failed_check_with_a_sentence_never_a_check_that_raises(installation, store):
    name = "cleaned_donor_grouped"
    damaged = [installation.settings.folds / f"{name}.parquet"]
    damaged += [installation.settings.manifests / f"{table}.parquet" for table in ("recordings", "quarantine")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-100])
    checks = [donor_check(name), schema, donations_taken]
    for check, path in zip(checks, damaged, strict=True):
        found = outcome(check, installation)
        assert not found.passed
        assert f"{path} is not what was written" in str(found.description)
    assert not outcome(coverage_check("mel64_8k", store.spec), installation).passed


def test_one_flipped_bit_in_a_part_sets_it_aside_and_its_rows_are_computed_anew(installation, store):
    check = finite_check("mel64_8k", store.spec)
    assert outcome(check, installation).passed
    chunk = max((path for path in folder_of(store).rglob("c.*")), key=lambda path: path.stat().st_size)
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 3] ^= 4
    chunk.write_bytes(damaged)
    found = outcome(check, installation)
    assert found.passed
    assert str(found.description).startswith("1 damaged parts were set aside; ")
    assert found.metadata["computed"] == found.metadata["recordings"] != dg.IntMetadataValue(0)
    assert "rows computed" not in str(outcome(check, installation).description)


def test_a_part_that_cannot_be_made_again_is_refused(installation, store):
    chunk = next(folder_of(store).rglob("statistics/c.*"))
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    (installation.settings.manifests / "corpus.json").unlink()
    found = outcome(finite_check("mel64_8k", store.spec), installation)
    assert not found.passed
    assert "materialize raw/inventory" in str(found.description)


def test_recordings_without_features_are_refused_and_counted(installation, store):
    check = coverage_check("mel64_8k", store.spec)
    assert outcome(check, installation).passed
    (part, *_) = (folder_of(store) / "parts").iterdir()
    part.rename(folder_of(store) / part.name)
    found = outcome(check, installation)
    assert not found.passed
    assert found.metadata["missing"].value != 0


def test_donor_on_two_sides_is_refused_and_named(installation):
    name = "cleaned_donor_grouped"
    assert outcome(donor_check(name), installation).passed
    path = installation.settings.folds / f"{name}.parquet"
    folds = read_folds(path)
    donor = folds["donor"].value_counts().index[0]
    folds.loc[folds.index[folds["donor"] == donor][0], "fold"] += 1
    write_table(path, folds, "digest")
    found = outcome(donor_check(name), installation)
    assert not found.passed
    assert found.metadata["leaking"].value == [donor]


def test_nothing_trains_on_features_that_fail_their_check(installation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(coverage, "coverage_of", lambda _, ids: Coverage(len(ids), {}, list(ids)))
    with installation.instance() as instance:
        result = installation.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_config=QUIET,
            raise_on_error=False,
            asset_selection=[
                dg.AssetKey(["features", "mel64_8k"]),
                dg.AssetKey(["runs", "cleaned", "donor_grouped", "logistic_regression"]),
            ],
        )
    ran = {event.materialization.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    failed = {found.check_name for found in result.get_asset_check_evaluations() if not found.passed}
    assert not result.success
    assert failed == {"coverage"}
    assert ran == {"features/mel64_8k"}


def test_recording_that_no_features_can_be_made_of_is_told_and_blocks_nobody(installation, store):
    recordings = pd.read_parquet(installation.settings.manifests / "recordings.parquet")
    inbox = recordings.loc[recordings["source"] == "inbox", "recording_id"].tolist()
    reason = "has 5 samples at 8000 Hz, fewer than one frame"
    reasons = dict.fromkeys(inbox, reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureStore, "failures", lambda _: reasons)
        patch.setattr(FeatureStore, "missing", lambda *_: inbox)
        covered = outcome(coverage_check("mel64_8k", store.spec), installation)
        told = outcome(featurized_check("mel64_8k", store.spec), installation)
    assert covered.passed
    assert not told.passed
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert reason in str(told.metadata["recordings"])
    assert not next(iter(featurized_check("mel64_8k", store.spec).check_specs)).blocking


def test_failed_asset_is_named_with_its_cause_in_one_line(installation):
    settings = installation.settings.model_copy(update={"corpus": installation.settings.data / "nowhere"})
    with pytest.raises(RunFailedError) as error:
        materialize(build_definitions(settings), settings, 'key:"raw/inventory"')
    assert str(error.value).startswith("raw/inventory: ")
    assert "nowhere" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
