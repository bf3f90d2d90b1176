"""The assets of feature sets: what they are given."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.features import extraction
from cry_pipeline.features.kinds import feature_set_digest
from cry_pipeline.orchestration.assets.features import feature_assets
from cry_pipeline.orchestration.launch import QUIET
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import load_settings


class EnoughError(Exception):
    """Ends what a test has seen enough of."""


def test_workers_batch_and_device_reach_the_extraction_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def note(*_: object, **options: object) -> list:
        asked.update(options)
        raise EnoughError

    monkeypatch.setattr(extraction, "extract_all", note)
    for name, value in (("WORKERS", "3"), ("BATCH_RECORDINGS", "5"), ("ACCELERATOR", "cpu")):
        monkeypatch.setenv(f"CRY_PIPELINE_{name}", value)
    workspace = Workspace.of(load_settings())
    monkeypatch.setattr(Workspace, "recordings", lambda _: pd.DataFrame())
    monkeypatch.setattr(Workspace, "store", lambda *_: None)
    monkeypatch.setattr(Workspace, "roots", lambda _: None)
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(EnoughError):
        dg.materialize([feature_assets(load_catalog())], resources={"workspace": workspace}, instance=instance)
    assert asked == {"workers": 3, "batch_recordings": 5, "device": "cpu"}


def test_feature_set_that_cannot_be_made_is_named_and_stops_no_other(installation):
    installation.edit_catalog("feature_sets", mel128_8k={"fmin_hz": 60}, mel64_8k={"fmin_hz": 60})
    digest = feature_set_digest(load_catalog(installation.settings.catalog).feature_sets["mel128_8k"])
    (Path(installation.settings.features) / digest).write_bytes(b"a file where the feature set's folder is to be")
    with installation.instance() as instance:
        job = installation.definitions.resolve_job_def("ingest")
        keys = [dg.AssetKey(["features", name]) for name in ("mel128_8k", "mel64_8k", "babycare_22k")]
        result = job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False, asset_selection=keys)
    made = {event.materialization.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert made == {"mel64_8k", "babycare_22k"}
    assert "mel128_8k: " in failed.step_failure_data.error.message
    assert "babycare" not in failed.step_failure_data.error.message
