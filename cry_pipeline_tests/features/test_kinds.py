"""Kinds of features: what each says of itself holds, and a new one takes one file and one entry of the catalog."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
import zarr

from cry_pipeline.catalog import FeatureSetSpec, load_catalog
from cry_pipeline.catalog.mel_scale import empty_bands
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.features import kinds
from cry_pipeline.features.computing import FeatureSetComputer
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.kinds import (
    KINDS,
    POWER,
    Kind,
    feature_set_digest,
    kept_kinds,
    kinds_of,
    register,
    unregister,
)
from cry_pipeline.features.store.rows import FeatureStoreError, samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import folder_of
from cry_pipeline_tests.stated import Stated, manifest_of

Found = tuple[pd.DataFrame, Roots]
ALWAYS = {"spectrogram", "mel", "mfcc", "statistics"}
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 9000).astype(np.float32)


class Flux(torch.nn.Module):
    """The highest bin of each frame, and how far the mean mel lies below it."""

    def forward(self, power: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
        return torch.stack([10 * power.amax(dim=-1).log10(), mel.mean(dim=-1)], dim=-1)


TOY = Kind(
    name="toy",
    dtype="float32",
    rows="frame",
    axis="toy_value",
    width=lambda _: 2,
    attributes=lambda _: {"units": "dB"},
    inputs=(POWER, "mel"),
    by="frame",
    computer=lambda _: Flux(),
)


def _range(_: FeatureSetSpec) -> Callable[[np.ndarray], np.ndarray]:
    return lambda toy: toy.max(axis=0) - toy.min(axis=0)


TOY_RANGE = replace(TOY, name="toy_range", rows="recording", inputs=("toy",), by="recording", computer=_range)


@pytest.fixture
def toys() -> Iterator[None]:
    """Two new kinds: one of frames, and one of whole recordings that is computed from it."""
    register(TOY)
    register(TOY_RANGE)
    yield
    unregister("toy_range")
    unregister("toy")


@pytest.fixture
def recording(tmp_path: Path) -> Found:
    soundfile.write(tmp_path / "a.wav", NOISE, 8000, "PCM_16")
    return manifest_of(tmp_path, ["a.wav"]), Roots(tmp_path)


def with_(spec: FeatureSetSpec, **changes: Any) -> FeatureSetSpec:
    return FeatureSetSpec.model_validate(spec.model_dump() | changes)


@pytest.mark.parametrize("spec", load_catalog().feature_sets.values(), ids=load_catalog().feature_sets)
def test_values_of_every_kind_are_as_it_says(spec: FeatureSetSpec) -> None:
    (values,) = FeatureSetComputer(spec)([NOISE])
    assert values is not None
    assert kinds_of(spec).keys() >= ALWAYS
    assert values.keys() == kept_kinds(spec).keys() >= set(spec.kinds)
    for name, kind in kept_kinds(spec).items():
        rows = [spec.frames(len(NOISE))] if kind.rows == "frame" else []
        assert values[name].shape == (*rows, kind.width(spec)), name
        assert values[name].dtype == kind.dtype
        if kind.frequencies_hz:
            assert kind.frequencies_hz(spec).shape == (kind.width(spec),)


def test_new_kind_takes_one_file_and_one_entry(toys: None, recording: Found, tmp_path: Path) -> None:
    entry = (Path(load_catalog.__code__.co_filename).parent / "feature_sets.yaml").read_text()
    parameters = yaml.safe_load(entry)["mel64_8k"] | {"extra_kinds": ["toy", "toy_range"]}
    spec = FeatureSetSpec.model_validate(parameters)
    store = FeatureStore.open(tmp_path / "features", spec).of(samples_of(recording[0]))
    assert set(store.kinds) == {*ALWAYS, "toy", "toy_range"}
    assert extract(*recording, store).computed == 1
    read = store.read(list(recording[0]["recording_id"]), store.kinds)
    spectrogram, mel = (read.arrays[kind].astype(np.float32) for kind in ("spectrogram", "mel"))
    np.testing.assert_allclose(read.of("toy", 0)[:, 0], spectrogram.max(axis=1), atol=0.04)
    np.testing.assert_allclose(read.of("toy", 0)[:, 1], mel.mean(axis=1), atol=0.04)
    np.testing.assert_array_equal(read.of("toy_range", 0), np.ptp(read.of("toy", 0), axis=0))
    (part,) = (folder_of(store) / "parts").iterdir()
    group = zarr.open_group(str(part), mode="r")
    assert group["toy"].metadata.dimension_names == ("frame", "toy_value")  # type: ignore[union-attr]


def test_another_kinds_coming_and_revision_leave_a_feature_sets_digest(
    spec: FeatureSetSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, deltas = feature_set_digest(spec), feature_set_digest(with_(spec, mfcc_deltas=1))
    register(TOY)
    try:
        assert (feature_set_digest(spec), feature_set_digest(with_(spec, mfcc_deltas=1))) == (plain, deltas)
    finally:
        unregister("toy")
    monkeypatch.setitem(kinds._registered, "mfcc_delta", replace(KINDS["mfcc_delta"], revision=10**6))
    assert feature_set_digest(spec) == plain
    assert feature_set_digest(with_(spec, mfcc_deltas=1)) != deltas
    monkeypatch.setitem(kinds._registered, "statistics", replace(KINDS["statistics"], revision=10**6))
    assert feature_set_digest(spec) != plain


def test_store_holds_exactly_the_kinds_of_its_feature_set(spec: FeatureSetSpec, make_rows, tmp_path: Path) -> None:
    plain, deltas = spec, with_(spec, mfcc_deltas=1)
    assert kinds_of(plain).keys() == ALWAYS
    assert kinds_of(deltas).keys() == ALWAYS | {"mfcc_delta"}
    rows = make_rows(a=3)
    FeatureStore.open(tmp_path, plain).write(rows)
    with pytest.raises(FeatureStoreError, match=r"a part holds .*mfcc_delta"):
        FeatureStore.open(tmp_path, deltas).write(rows)
    with pytest.raises(FeatureStoreError, match="there is no array mfcc_delta"):
        FeatureStore.open(tmp_path, plain).of(Stated()).read(["a"], ["mfcc_delta"])


@pytest.mark.parametrize("orders", [1, 2])
def test_deltas_are_librosas(spec: FeatureSetSpec, recording: Found, tmp_path: Path, orders: int) -> None:
    store = FeatureStore.open(tmp_path / "features", with_(spec, mfcc_deltas=orders)).of(samples_of(recording[0]))
    extract(*recording, store)
    read = store.read(list(recording[0]["recording_id"]), ["mfcc", "mfcc_delta"])
    expected = [
        librosa.feature.delta(read.of("mfcc", 0).astype(np.float64), width=9, order=order, axis=0, mode="nearest")
        for order in range(1, orders + 1)
    ]
    assert read.of("mfcc_delta", 0).dtype == np.float32
    np.testing.assert_allclose(read.of("mfcc_delta", 0), np.concatenate(expected, axis=1), rtol=0, atol=1e-5)


def test_deltas_can_be_had_of_a_single_frame(spec: FeatureSetSpec) -> None:
    (values,) = FeatureSetComputer(with_(spec, mfcc_deltas=2))([NOISE[:20]])
    assert values is not None
    np.testing.assert_allclose(values["mfcc_delta"], np.zeros((1, 8)), atol=1e-12)


def test_unit_says_what_0_db_is(spec: FeatureSetSpec) -> None:
    for kind in ("spectrogram", "mel", "mfcc"):
        assert KINDS[kind].attributes(spec)["units"] == "dB re full-scale sine"
        assert "dB re 1" in KINDS[kind].attributes(with_(spec, reference="one"))["units"]


def test_levels_of_statistics_do_not_depend_on_the_reference(spec: FeatureSetSpec) -> None:
    levels = []
    for reference in ("full_scale_sine", "one"):
        own = with_(spec, reference=reference)
        (values,) = FeatureSetComputer(own)([_cry()])
        assert values is not None
        names = KINDS["statistics"].attributes(own)["names"]
        levels.append({n: v for n, v in zip(names, values["statistics"], strict=True) if n.startswith(("level", "f0"))})
    assert levels[0] == pytest.approx(levels[1], abs=0.01, rel=1e-4)


def _cry() -> np.ndarray:
    time = np.arange(8000) / 8000
    voice = sum(np.sin(2 * np.pi * 450 * n * time) / n for n in range(1, 8))
    return (0.2 * voice + 0.01 * np.random.default_rng(0).normal(size=8000)).astype(np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra_kinds": ["chroma"]}, "chroma is no kind of feature; there are"),
        ({"extra_kinds": ["mfcc_delta"]}, "mfcc_delta follows from the other parameters"),
        ({"extra_kinds": ["toy_range"]}, "toy_range: is computed from toy, which this feature set lacks"),
    ],
)
def test_kind_that_cannot_be_had_gets_no_folder(toys: None, spec: FeatureSetSpec, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feature_set_digest(with_(spec, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra_kinds": ["b", "a"]}, "order of the alphabet"),
        ({"extra_kinds": ["a", "a"]}, "each once"),
        ({"center": False, "padding": "zeros"}, "changes nothing without center"),
    ],
)
def test_two_ways_to_say_the_same_are_refused(spec: FeatureSetSpec, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_(spec, **changes)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (replace(TOY, name="mel"), "the name is taken"),
        (replace(TOY, inputs=("chroma",)), "its input chroma is no kind"),
        (replace(TOY, inputs=("statistics",)), "is of whole recordings"),
        (replace(TOY, by="recording"), "frame by frame only"),
    ],
)
def test_kind_that_does_not_fit_in_is_refused(kind: Kind, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register(kind)
    assert "toy" not in KINDS


def test_whatever_feature_set_the_catalog_takes_can_be_computed() -> None:
    rng, computed = np.random.default_rng(3), 0
    for _ in range(20):
        rate, n_fft = int(rng.choice([4000, 8000, 11_025, 22_050, 192_000])), int(rng.integers(64, 1025))
        window, mels, low = int(rng.integers(32, n_fft + 1)), int(rng.integers(8, 100)), rng.uniform(0, rate / 4)
        parameters = {
            "sample_rate_hz": rate,
            "n_fft": n_fft,
            "window_samples": window,
            "hop_samples": int(rng.integers(window // 3, window + 1)),
            "window": str(rng.choice(["hann_periodic", "hann_symmetric"])),
            "center": bool(rng.integers(2)),
            "mels": mels,
            "mel_scale": str(rng.choice(["slaney", "htk"])),
            "fmin_hz": float(rng.choice([0.0, low])),
            "fmax_hz": float(rng.choice([rate / 2, rng.uniform(low + 1, rate / 2)])),
            "mfcc": int(rng.integers(2, min(20, mels) + 1)),
            "mfcc_deltas": int(rng.integers(3)),
        }
        low, high, scale = (parameters[name] for name in ("fmin_hz", "fmax_hz", "mel_scale"))
        if empty_bands(mels, low, high, rate / n_fft, scale):
            continue
        spec = FeatureSetSpec.model_validate(parameters)
        silence = np.zeros(2000, np.float32)
        for samples, values in zip((NOISE, silence), FeatureSetComputer(spec)([NOISE, silence]), strict=True):
            assert values is not None, parameters
            assert len(values["mel"]) == spec.frames(len(samples)), parameters
        computed += 1
    assert computed > 6


def test_what_is_not_kept_is_not_written_and_changes_nothing_of_what_is(recording: Found, tmp_path: Path) -> None:
    whole = load_catalog().feature_sets["mel64_8k"]
    spare = with_(whole, kinds=["mel", "statistics"])
    assert feature_set_digest(spare) != feature_set_digest(whole)
    (name,), read = recording[0]["recording_id"], {}
    for spec in (whole, spare):
        store = FeatureStore.open(tmp_path / "features", spec).of(samples_of(recording[0]))
        assert extract(*recording, store).computed == 1
        read[spec] = store.read([name], ("mel", "statistics"))
    for kind in ("mel", "statistics"):
        np.testing.assert_array_equal(read[whole].arrays[kind], read[spare].arrays[kind])
    assert not list(folder_of(store).glob("parts/*/spectrogram"))
    with pytest.raises(FeatureStoreError, match="there is no array spectrogram; a feature set holds mel, statistics"):
        store.read([name], ("spectrogram",))


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (["mfcc", "statistics"], "mel is missing"),
        (["mel", "spectrogram"], "must be in the order"),
        (["mel", "mel"], "each once"),
    ],
)
def test_kinds_that_cannot_be_kept_so_are_refused(spec: FeatureSetSpec, chosen: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_(spec, kinds=chosen)
