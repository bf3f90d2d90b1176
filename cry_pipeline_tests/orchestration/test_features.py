"""The assets of feature sets: what they are given."""

import dagster as dg
import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.features import extraction
from cry_pipeline.orchestration.assets.features import feature_assets
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import load_settings


def test_workers_batch_and_device_reach_the_extraction_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def note(*_: object, **options: object) -> list:
        asked.update(options)
        raise InterruptedError

    monkeypatch.setattr(extraction, "extract_all", note)
    for name, value in (("WORKERS", "3"), ("BATCH_RECORDINGS", "5"), ("ACCELERATOR", "cpu")):
        monkeypatch.setenv(f"CRY_PIPELINE_{name}", value)
    workspace = Workspace.of(load_settings())
    monkeypatch.setattr(Workspace, "recordings", lambda _: pd.DataFrame())
    monkeypatch.setattr(Workspace, "roots", lambda _: None)
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(InterruptedError):
        dg.materialize([feature_assets(load_catalog())], resources={"workspace": workspace}, instance=instance)
    assert asked == {"workers": 3, "batch_recordings": 5, "device": "cpu"}
