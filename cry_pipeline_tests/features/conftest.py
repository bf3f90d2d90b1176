"""Fixtures of the feature tests: a small feature set, rows of it, and a store in the test's own folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import kinds_of
from cry_pipeline.features.store.rows import FeatureRows, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.stated import Stated, samples_of_name

MakeRows = Callable[..., FeatureRows]


@pytest.fixture
def spec() -> FeatureSetSpec:
    """A feature set small enough to be written hundreds of times."""
    return FeatureSetSpec.model_validate(
        {
            "sample_rate_hz": 8000,
            "n_fft": 64,
            "window_samples": 64,
            "hop_samples": 32,
            "mels": 8,
            "fmax_hz": 4000,
            "mfcc": 4,
        }
    )


@pytest.fixture
def store(tmp_path: Path, spec: FeatureSetSpec) -> FeatureStore:
    return FeatureStore.open(tmp_path / "features", spec).of(Stated())


@pytest.fixture
def make_rows(spec: FeatureSetSpec) -> MakeRows:
    """``make_rows(seed, name=frames, …)``: rows of random values, the same for the same seed."""

    def make(seed: int = 0, **frames: int) -> FeatureRows:
        rng = np.random.default_rng(seed)
        recordings = {}
        for name, count in frames.items():
            recordings[name] = {
                kind: rng.normal(-50, 10, (count, about.width(spec))[about.rows == "recording" :]).astype(about.dtype)
                for kind, about in kinds_of(spec).items()
            }
        return stack_rows(recordings, [samples_of_name(name) for name in recordings])

    return make


@pytest.fixture
def many(make_rows: MakeRows) -> list[FeatureRows]:
    """Five sets of rows of two recordings each, `r<seed>` and `s<seed>`."""
    return [make_rows(seed, **{f"r{seed}": 3 + seed, f"s{seed}": 2}) for seed in range(5)]
