"""What decides a run's digest, and what does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cry_pipeline.catalog import Catalog
from cry_pipeline.keys import STAGES
from cry_pipeline.training.datasets import TrainingDataError
from cry_pipeline.training.registry import MODELS
from cry_pipeline.training.resolved import Resolved, StartingWeights
from cry_pipeline_tests.training.made_up import CLASSES, MAJORITY, REGRESSION, run_digest


@pytest.fixture
def digest_of(catalog: Catalog, folds: pd.DataFrame) -> Callable[..., str]:
    """Return the digest of an experiment with parts replaced."""

    def make(
        name: str = REGRESSION, *, rows: pd.DataFrame = folds, features: str = "f", seed: int = 0, **changes: Any
    ) -> str:
        experiment = catalog.experiments[name].model_copy(update={"seed": seed})
        known = {key: changes.pop(key) for key in ("feature_rows", "resolved") if key in changes}
        cohort = catalog.cohorts[experiment.cohort].model_copy(update={"classes": changes.pop("classes", CLASSES)})
        models = {**catalog.models, experiment.model: catalog.models[experiment.model].model_copy(update=changes)}
        cohorts = {**catalog.cohorts, experiment.cohort: cohort}
        return run_digest(
            experiment, catalog.model_copy(update={"models": models, "cohorts": cohorts}), rows, features, **known
        )

    return make


def test_digest_changes_with_all_that_decides_predictions(
    digest_of: Callable[..., str], folds: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [
        digest_of(),
        digest_of(seed=1),
        digest_of(features="g"),
        digest_of(inverse_regularisation=0.5),
        digest_of(rows=folds.assign(fold=folds["fold"].to_numpy()[::-1])),
        digest_of(rows=folds.assign(label=folds["label"].to_numpy()[::-1])),
        digest_of(rows=folds.assign(donor=folds["donor"].to_numpy()[::-1])),
        digest_of(rows=folds.iloc[1:]),
        digest_of(MAJORITY),
        digest_of(feature_rows="r"),
        digest_of(classes=CLASSES[::-1]),
        digest_of(resolved=Resolved("cpu")),
        digest_of(resolved=Resolved("mps")),
        digest_of(resolved=Resolved("gpu", "16-mixed")),
        digest_of(resolved=Resolved("gpu", "bf16-mixed")),
        digest_of(resolved=Resolved(weights=StartingWeights())),
        digest_of(resolved=Resolved(weights=StartingWeights("a"))),
    ]
    monkeypatch.setitem(STAGES, "run_values", replace(STAGES["run_values"], revision=99))
    digests.append(digest_of())
    monkeypatch.setitem(STAGES, "run_values", replace(STAGES["run_values"], libraries=()))
    digests.append(digest_of())
    entry = MODELS["logistic_regression"]
    monkeypatch.setitem(MODELS, "logistic_regression", type(entry)("next", entry.make))
    digests.append(digest_of())
    assert len(set(digests)) == len(digests)


def test_digest_does_not_change_with_what_decides_nothing(digest_of: Callable[..., str], folds: pd.DataFrame) -> None:
    assert digest_of(rows=folds.sample(frac=1, random_state=0)) == digest_of()
    assert digest_of(description="in other words") == digest_of()
    assert digest_of(MAJORITY, features="g", feature_rows="r") == digest_of(MAJORITY)
    here, there = Path("here"), Path("there")
    assert digest_of(resolved=Resolved(weights=StartingWeights("a", here))) == digest_of(
        resolved=Resolved(weights=StartingWeights("a", there))
    )
    assert digest_of("cleaned_logistic_regression_clip_stratified") == digest_of()


def test_the_digest_takes_in_what_is_read_of_the_manifest_and_no_more(
    told: tuple[Catalog, pd.DataFrame], folds: pd.DataFrame
) -> None:
    catalog, manifest = told

    def digest(table: pd.DataFrame, name: str = "told") -> str:
        return run_digest(catalog.experiments[name], catalog, folds, "f", table)

    read = manifest["recording_id"] == folds["recording_id"][3]
    assert digest(manifest) != digest(manifest.assign(gender=manifest["gender"].mask(read, "unknown")))
    outside = ~manifest["recording_id"].isin(folds["recording_id"])
    other = manifest.assign(peak=0.1, gender=manifest["gender"].mask(outside, "unknown"))
    assert digest(manifest) == digest(other)
    assert digest(manifest) == digest(manifest.sample(frac=1, random_state=1))
    assert digest(manifest, REGRESSION) == run_digest(catalog.experiments[REGRESSION], catalog, folds, "f")
    with pytest.raises(TrainingDataError, match="1 of 60 recordings are not in the manifest"):
        digest(manifest[~read])
