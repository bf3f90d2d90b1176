"""The assets of runs: what they are given."""

from pathlib import Path
from unittest.mock import Mock

import dagster as dg
import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.engine import Local
from cry_pipeline.orchestration.assets.runs import run_asset
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import load_settings
from cry_pipeline.training import runs


def test_resources_reach_the_training_from_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = {}

    def note(*_: object, **options: object) -> None:
        asked.update(options)
        raise InterruptedError

    monkeypatch.setattr(runs, "train_run", note)
    values = {"DATA": tmp_path, "WORKERS": 3, "ACCELERATOR": "cpu", "DEVICE": 1, "DETERMINISTIC": 1, "MEMORY_MIB": 7}
    for name, value in values.items():
        monkeypatch.setenv(f"CRY_PIPELINE_{name}", str(value))
    workspace = Workspace.of(load_settings())
    monkeypatch.setattr(Workspace, "folds", lambda *_: pd.DataFrame())
    monkeypatch.setattr(Workspace, "store", lambda *_: Mock())
    asset = run_asset("cleaned_majority_donor_grouped", load_catalog())
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(InterruptedError):
        dg.materialize([asset], resources={"workspace": workspace}, instance=instance)
    assert asked["settings"] == runs.TrainingSettings(
        engine=Local(3), accelerator="cpu", device=1, deterministic=True, memory_mib=7
    )
