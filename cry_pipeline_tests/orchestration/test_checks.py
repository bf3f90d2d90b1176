"""Each blocking check fails when what it guards is broken, and what depends on it does not run."""

import dagster as dg
import pandas as pd
import pytest

from cry_pipeline.artefacts import write_table
from cry_pipeline.catalog import load_catalog
from cry_pipeline.features.store import FeatureStore
from cry_pipeline.folds.splitting import read_folds
from cry_pipeline.orchestration.checks import coverage_check, donor_check, finite_check, schema
from cry_pipeline.orchestration.launch import QUIET, RunFailedError, materialize
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline_tests.features.looks import folder_of


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


def test_one_flipped_bit_in_a_part_is_refused(installation, store):
    check = finite_check("mel64_8k", store.spec)
    assert outcome(check, installation).passed
    chunk = max((path for path in folder_of(store).rglob("c.*")), key=lambda path: path.stat().st_size)
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 3] ^= 4
    chunk.write_bytes(damaged)
    assert not outcome(check, installation).passed


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


def test_nothing_trains_on_features_that_fail_their_check(installation, store):
    recordings = pd.read_parquet(installation.settings.manifests / "recordings.parquet")
    audio = installation.settings.corpus / recordings.loc[recordings["path"].str.endswith("-hu.wav"), "path"].iloc[0]
    for part in (folder_of(store) / "parts").iterdir():
        part.rename(folder_of(store) / part.name)
    moved = audio.with_suffix(".elsewhere")
    audio.rename(moved)
    try:
        with installation.instance() as instance:
            result = installation.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance,
                run_config=QUIET,
                raise_on_error=False,
                asset_selection=[
                    dg.AssetKey(["features", "mel64_8k"]),
                    dg.AssetKey(["runs", "cleaned_logistic_regression_donor_grouped"]),
                ],
            )
    finally:
        moved.rename(audio)
    ran = {event.materialization.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    failed = {found.check_name for found in result.get_asset_check_evaluations() if not found.passed}
    assert not result.success
    assert failed == {"coverage"}
    assert ran == {"features/mel64_8k"}


def test_failed_asset_is_named_with_its_cause_in_one_line(installation):
    settings = installation.settings.model_copy(update={"corpus": installation.settings.data / "nowhere"})
    with pytest.raises(RunFailedError) as error:
        materialize(settings, 'key:"raw/inventory"')
    assert str(error.value).startswith("raw/inventory: ")
    assert "nowhere" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
