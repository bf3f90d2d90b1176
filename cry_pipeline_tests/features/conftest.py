"""Fixtures of the feature tests: a small feature set, rows of it, and a store in the test's own folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.decoding import Audio, decode_bytes
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.features import loading
from cry_pipeline.features.kinds import kinds_of
from cry_pipeline.features.store.rows import FeatureRows, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.stated import Stated, manifest_of, samples_of_name

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


@pytest.fixture
def corpus_of(tmp_path: Path) -> Callable[..., tuple[pd.DataFrame, Roots]]:
    """``corpus_of(12)``: so many recordings of 1 to 2 s at 8 kHz, and of a manifest what extraction reads."""

    def make(count: int) -> tuple[pd.DataFrame, Roots]:
        rng = np.random.default_rng(0)
        (tmp_path / "corpus").mkdir(exist_ok=True)
        names = [f"recording{index:03d}" for index in range(count)]
        for name in names:
            samples = rng.uniform(-0.5, 0.5, int(rng.integers(8000, 16_000)))
            soundfile.write(tmp_path / "corpus" / f"{name}.wav", samples, 8000, "PCM_16")
        manifest = manifest_of(tmp_path / "corpus", [f"{name}.wav" for name in names])
        return manifest, Roots(tmp_path / "corpus")

    return make


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the recordings decoded, in order of time."""
    ids: list[str] = []

    def count(data: bytes) -> Audio:
        ids.append(hashlib.sha256(data).hexdigest())
        return decode_bytes(data)

    monkeypatch.setattr(loading, "decode_bytes", count)
    return ids
