"""The fused pass gives what the transforms in torch and librosa give, on every machine the same, or is not used."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cry_pipeline.catalog import FeatureSetSpec, load_catalog
from cry_pipeline.features import kernel
from cry_pipeline.features.computing import FeatureSetComputer, FeatureTransform
from cry_pipeline.features.kernel import fused_transform
from cry_pipeline.features.pooling import ROLLOFF, SILENT_DB, VOICED, StatisticsPool

SPEC = load_catalog().feature_sets["mel64_8k"]
TWO_LAGS_ALIKE = SPEC.model_copy(
    update={"n_fft": 64, "window_samples": 32, "hop_samples": 1, "fmin_hz": 125.0, "mels": 8, "mfcc": 2}
    | {"floor_db": -120.0}
)
SCRIPT = """
import hashlib, json, logging, sys
import numpy as np
from cry_pipeline.catalog import load_catalog
from cry_pipeline.features.kernel import fused_transform
logging.basicConfig(level=logging.WARNING)
before = "numba" in sys.modules
fused = fused_transform(load_catalog().feature_sets["mel64_8k"])
from cry_pipeline.features.kernel.fused import compute
time = np.arange(9000)
samples = (np.sin(time * (0.2 + time / 1e5)) * 0.3 + np.sin(1e4 * np.sin(time * 12.9898)) * 0.01).astype(np.float32)
made = fused(samples, power=True, tracks=True)
made["statistics"] = fused.pooled(made["tracks"])
digests = {name: hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for name, array in made.items()}
print(json.dumps({"digests": digests, "before": before, "compiled": sum(compute.stats.cache_misses.values())}))
"""


def made_by(environment: dict[str, str]) -> dict:
    """What a process of its own makes of a sound, and what it did for that."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=bare | environment, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


@st.composite
def feature_sets(draw: st.DrawFn) -> FeatureSetSpec:
    """Any feature set of a length that the pass can do."""
    n_fft = draw(st.sampled_from([64, 75, 81, 100, 128, 135, 243, 250, 256, 400, 512, 1000, 1024]))
    rate_hz = draw(st.sampled_from([8000, 16_000, 22_050]))
    window = draw(st.integers(max(32, n_fft // 2), n_fft))
    center = draw(st.booleans())
    mels = draw(st.integers(8, max(8, n_fft // 16)))
    return FeatureSetSpec.model_validate(
        {
            "sample_rate_hz": rate_hz,
            "n_fft": n_fft,
            "window_samples": window,
            "hop_samples": draw(st.integers(1, window)),
            "window": draw(st.sampled_from(["hann_periodic", "hann_symmetric"])),
            "center": center,
            "padding": draw(st.sampled_from(["reflect", "zeros"] if center else ["reflect"])),
            "mels": mels,
            "mel_scale": draw(st.sampled_from(["slaney", "htk"])),
            "fmin_hz": rate_hz / n_fft,
            "fmax_hz": rate_hz / 2,
            "mfcc": draw(st.integers(2, mels)),
            "reference": draw(st.sampled_from(["full_scale_sine", "one"])),
            "floor_db": draw(st.sampled_from([-120.0, -100.0, -60.0])),
        }
    )


def sound(seed: int, length: int) -> np.ndarray:
    """Voice, noise, silence and clicks, from -100 dB to full scale, float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(length)
    voice = np.sin(time * rng.uniform(0.05, 0.6)) * rng.uniform(0, 1)
    loudness = 10 ** (rng.uniform(-5, 0) + np.sin(time / rng.uniform(50, 5000)))
    made = voice * loudness + rng.standard_normal(length) * 10 ** rng.uniform(-5, -1)
    made[rng.integers(length, size=length // 500)] = 1
    made[length // 3 : length // 2] *= rng.integers(2)
    return np.clip(made, -1, 1).astype(np.float32)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(spec=feature_sets(), seed=st.integers(0, 2**32), length=st.integers(1, 6000))
@example(spec=TWO_LAGS_ALIKE, seed=6749, length=2)
def test_it_gives_what_torch_gives_whatever_the_parameters(spec: FeatureSetSpec, seed: int, length: int) -> None:
    fused = fused_transform(spec)
    assert fused is not None
    samples = sound(seed, length)
    frames = spec.frames(length)
    if not frames:
        return
    made = fused(samples, power=True, tracks=True)
    with torch.inference_mode():
        values = FeatureTransform(spec).in_blocks(torch.from_numpy(samples)[None], torch.tensor([length]), None)
    expected = {name: array[0, :frames].numpy() for name, array in values.items()}
    for name, off in (("spectrogram", 5e-4), ("mel", 5e-4), ("mfcc", 5e-3)):
        np.testing.assert_allclose(made[name], expected[name], rtol=0, atol=off, err_msg=name)
    power = np.maximum(made["power"], 10 ** (spec.floor_db / 10))
    np.testing.assert_allclose(10 * np.log10(power), made["spectrogram"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(fused.pooled(made["tracks"]), fused.pool.pooled(made["tracks"]), rtol=1e-4, atol=1e-3)
    tracks = fused.pool.tracks(expected["spectrogram"], expected["mel"], expected["mfcc"])
    width = len(fused.pool.bands) + spec.mfcc
    np.testing.assert_allclose(made["tracks"][:width], tracks[:width], rtol=0, atol=5e-3)
    centroid, bandwidth, rolloff, flatness, level, voicing, f0 = made["tracks"][width:] - tracks[width:]
    top_hz = spec.sample_rate_hz / 2
    assert np.abs(centroid).max() < 1e-4 * top_hz
    assert np.abs(bandwidth).max() < 5e-3 * top_hz
    assert np.abs(flatness).max() < 5e-3
    assert np.abs(level).max() < 5e-3
    # In which bin a share of the power is reached, and which lag is the highest, may turn on a last bit. Where another
    # was taken, it is as good a choice in torch's values.
    power = 10 ** (expected["spectrogram"].astype(np.float64) / 10)
    others = rolloff != 0
    missed = rolloff_missed(fused.pool, power[others], made["tracks"][width + 2, others])
    np.testing.assert_array_less(missed, 1e-4)
    alike = np.abs(f0) <= 1
    assert np.abs(voicing[alike]).max(initial=0) < 1e-3
    if not alike.all():
        np.testing.assert_array_less(pitch_missed(fused.pool, power[~alike], made["tracks"][-1, ~alike]), 1e-3)


def rolloff_missed(pool: StatisticsPool, power: np.ndarray, rolloff_hz: np.ndarray) -> np.ndarray:
    """How far the share of ``power`` [frames, bins] is from ``ROLLOFF`` within the bin of ``rolloff_hz``, [frames]."""
    below = np.cumsum(power[:, pool.inside], axis=1)
    share = np.pad(below / below[:, -1:], ((0, 0), (1, 0)))
    bins = np.abs(pool.hertz - rolloff_hz[:, None]).argmin(axis=1)
    frames = np.arange(len(power))
    return np.maximum(share[frames, bins] - ROLLOFF, ROLLOFF - share[frames, bins + 1])


def pitch_missed(pool: StatisticsPool, power: np.ndarray, f0_hz: np.ndarray) -> np.ndarray:
    """How much lower than the best lag's the score of the lag of ``f0_hz`` is, each [frames]; of scores up to 1."""
    scores = power[:, : len(pool.scores)] @ pool.scores
    taken = np.abs(pool.lags_s - 1 / f0_hz[:, None]).argmin(axis=1)
    # A parabola moves a lag by up to half a step: that of the next lag may be as near.
    near = np.clip(taken[:, None] + [-1, 0, 1], 1, len(pool.lags_s) - 2)
    best = scores[:, 2:-1].max(axis=1)
    return (best - np.take_along_axis(scores, 1 + near, axis=1).max(axis=1)) / scores[:, 0]


def test_a_frame_s_values_hang_on_its_own_samples_alone() -> None:
    fused = fused_transform(SPEC)
    assert fused is not None
    samples = sound(2, 8000)
    whole, part = (fused(each, power=True, tracks=True) for each in (samples, samples[:5000]))
    alike = 5000 // SPEC.hop_samples - 2
    for name in whole:
        one, other = (made[name].T if name == "tracks" else made[name] for made in (whole, part))
        np.testing.assert_array_equal(one[:alike], other[:alike], err_msg=name)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_what_is_no_number_is_not_taken_for_silence(bad: float) -> None:
    samples = sound(3, 4000)
    samples[2000] = bad
    assert FeatureSetComputer(SPEC)([samples]) == [None]


def test_pooled_statistics_are_those_of_the_reference() -> None:
    fused, computer = fused_transform(SPEC), FeatureSetComputer(SPEC)
    assert fused is not None
    for seed in range(20):
        samples = sound(seed, 16_000)
        (values,) = computer.features([samples])
        tracks = fused.pool.tracks(**{kind: values[kind] for kind in ("spectrogram", "mel", "mfcc")})
        found = fused(samples, power=False, tracks=True)["tracks"]
        if ((tracks[-2] >= VOICED) != (found[-2] >= VOICED)).any() or (np.abs(tracks[-1] - found[-1]) > 1).any():
            continue  # a last bit decided, as it may in one frame of some hundred
        assert ((tracks[-3] > SILENT_DB) == (found[-3] > SILENT_DB)).all()
        pooled, expected = fused.pool.pooled(found), fused.pool.pooled(tracks)
        np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=2e-3)


def test_the_same_bits_whatever_the_registers_and_compiled_once(tmp_path: Path) -> None:
    own = {"CRY_PIPELINE_DATA": str(tmp_path / "data")}
    here, again = made_by(own), made_by(own)
    plain = made_by(own | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""})
    assert here["digests"] == again["digests"] == plain["digests"]
    assert [each["compiled"] for each in (here, again, plain)] == [1, 0, 1]
    assert not here["before"]  # nothing is compiled, nor numba imported, by importing
    assert [path.name for path in (tmp_path / "data" / "cache" / "kernel").iterdir()] == [kernel.sources_digest()]


def test_where_there_is_none_torch_computes_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kernel._say_once.cache_clear()
    prime = FeatureSetSpec.model_validate(SPEC.parts | {"n_fft": 254, "window_samples": 254})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert fused_transform(prime) is None
    assert [record.message for record in caplog.records] == [
        "features are computed by torch, which takes two to three times as long: n_fft 254 has a prime factor above 5"
    ]
    (values,) = FeatureSetComputer(prime)([sound(5, 8000)])
    assert values is not None
    monkeypatch.setitem(sys.modules, "numba", None)
    (without,), computer = FeatureSetComputer(SPEC)([sound(5, 8000)]), FeatureSetComputer(SPEC)
    assert computer.fused is None
    assert "numba cannot be imported" in caplog.text
    monkeypatch.undo()
    (with_it,) = FeatureSetComputer(SPEC)([sound(5, 8000)])
    assert without is not None
    assert with_it is not None
    assert without.keys() == with_it.keys()
    for name in ("spectrogram", "mel", "mfcc"):
        np.testing.assert_allclose(without[name].astype(float), with_it[name].astype(float), rtol=0, atol=0.07)
