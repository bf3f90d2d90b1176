"""A small cohort and a catalog whose network is shrunk to what a test can wait for."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.catalog import Catalog, LfebAttentionLstmSpec, load_catalog
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.training.datasets import Rows, rows_of
from cry_pipeline.training.run_inputs import RunFeatures
from cry_pipeline.training.runs import RunResult, TrainingSettings, train_run
from cry_pipeline_tests.training.made_up import CLASSES, REGRESSION, make_features, make_folds_frame

FEATURES = ("feature_digest", "feature_rows", "feature_parts")


@pytest.fixture
def folds() -> pd.DataFrame:
    """60 recordings of 30 donors in 3 folds."""
    return make_folds_frame()


@pytest.fixture
def features(folds: pd.DataFrame) -> FeatureRows:
    """Features of ``folds``."""
    return make_features(folds)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The packaged catalog, its network shrunk to what a test can wait for."""
    packaged = load_catalog()
    small = packaged.models["lfeb_attention_lstm"].model_copy(
        update={"bins": 16, "channels": (4, 8, 8, 8), "heads": 2, "lstm_units": 8, "epochs": 4, "batch_size": 8}
    )
    return packaged.model_copy(update={"models": {**packaged.models, "lfeb_attention_lstm": small}})


@pytest.fixture
def spec(catalog: Catalog) -> LfebAttentionLstmSpec:
    """The small network's spec."""
    spec = catalog.models["lfeb_attention_lstm"]
    assert isinstance(spec, LfebAttentionLstmSpec)
    return spec


@pytest.fixture
def rows(folds: pd.DataFrame, features: FeatureRows) -> Rows:
    """60 recordings with features."""
    return rows_of(folds, CLASSES, features)


@pytest.fixture
def changed(features: FeatureRows) -> Callable[[list[str]], FeatureRows]:
    """Return a function that gives ``features`` with those of some recordings made very different."""

    def change(ids: list[str]) -> FeatureRows:
        arrays = {kind: values.copy() for kind, values in features.arrays.items()}
        for index, recording in enumerate(features.recording_ids):
            if recording in set(ids):
                start, stop = features.offsets[index : index + 2]
                for kind, values in arrays.items():
                    where = slice(index, index + 1) if kind == "statistics" else slice(start, stop)
                    values[where] = -values[where] * 3
        return FeatureRows(features.recording_ids, features.offsets, arrays)

    return change


@pytest.fixture
def train(catalog: Catalog, folds: pd.DataFrame, features: FeatureRows, tmp_path: Path) -> Callable[..., RunResult]:
    """Return train_run with defaults; any argument, and any setting, can be replaced."""

    def run(name: str = REGRESSION, **changes: Any) -> RunResult:
        given: dict[str, Any] = {"digest": "f", "arrays": changes.pop("features", features)}
        given |= {"left_out": changes.pop("left_out", {})}
        given |= {name.removeprefix("feature_"): changes.pop(name) for name in FEATURES if name in changes}
        arguments = {"catalog": catalog, "folds": folds, "features": RunFeatures(**given)}
        names = {field.name for field in fields(TrainingSettings)} & set(changes)
        settings: dict[str, Any] = {"accelerator": "cpu"} | {name: changes.pop(name) for name in names}
        arguments |= {"runs": tmp_path / "runs", "settings": TrainingSettings(**settings)} | changes
        return train_run(name, **arguments)

    return run


@pytest.fixture
def told(catalog: Catalog, folds: pd.DataFrame) -> tuple[Catalog, pd.DataFrame]:
    """A catalog with an experiment on metadata, and a manifest with more rows and columns than are read."""
    regression = catalog.experiments[REGRESSION].model_copy(update={"model": "metadata_only"})
    catalog = catalog.model_copy(update={"experiments": {**catalog.experiments, "told": regression}})
    ids = [*folds["recording_id"], "another"]
    genders = np.where(np.arange(len(ids)) % 3 == 0, "male", "female")
    manifest = pd.DataFrame({"recording_id": ids, "gender": genders, "age_band": "0-4 weeks", "peak": 0.5})
    return catalog, manifest.sample(frac=1, random_state=0)
