import librosa
import numpy as np
import pytest
import torch

from cry_pipeline.catalog import FeatureSetSpec, load_catalog
from cry_pipeline.features.computing import FeatureTransform, padded
from cry_pipeline.features.pooling import StatisticsPool, statistics_names

RATE = 8000
SPEC = FeatureSetSpec.model_validate(
    {"sample_rate_hz": 8000, "n_fft": 256, "window_samples": 256, "hop_samples": 128, "mels": 40, "fmax_hz": 4000}
)
TIME = np.arange(2 * RATE) / RATE


def _features(samples: np.ndarray, spec: FeatureSetSpec = SPEC) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        features = FeatureTransform(spec)(*padded([samples.astype(np.float32)]))
    return {kind: values[0].numpy() for kind, values in features._asdict().items()}


def _statistics(samples: np.ndarray, spec: FeatureSetSpec = SPEC) -> dict[str, float]:
    values = StatisticsPool(spec)(**_features(samples, spec))
    assert values.dtype == np.float32
    return dict(zip(statistics_names(spec), values.tolist(), strict=True))


def _voice(f0_hz: float) -> np.ndarray:
    partials = [np.sin(2 * np.pi * f0_hz * n * TIME + n) / n for n in range(1, 30) if f0_hz * n < 3900]
    return 0.3 * np.sum(partials, axis=0)


@pytest.mark.parametrize("spec", load_catalog().feature_sets.values(), ids=load_catalog().feature_sets)
def test_each_catalog_feature_set_has_150_to_250_named_statistics(spec: FeatureSetSpec) -> None:
    names = statistics_names(spec)
    assert 150 <= len(names) <= 250
    assert len(set(names)) == len(names)


def test_pools_are_numpys_over_the_frames() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 9000)
    features, statistics = _features(samples), _statistics(samples)
    tracks = {f"mfcc{order}": features["mfcc"][:, order] for order in range(20)}
    tracks["band0_db"] = features["mel"][:, :4].mean(axis=1)  # 40 mels in 12 bands: four of 4, eight of 3
    tracks["band11_db"] = features["mel"][:, -3:].mean(axis=1)
    for name, track in tracks.items():
        p10, p50, p90 = np.percentile(track, [10, 50, 90])
        expected = {"mean": track.mean(), "sd": track.std(), "p10": p10, "p50": p50, "p90": p90}
        for pool, value in expected.items():
            assert statistics[f"{name}_{pool}"] == pytest.approx(value, abs=1e-3), (name, pool)


def test_shapes_equal_librosas() -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 9000) + _voice(400)[:9000]
    statistics = _statistics(samples)
    power = 10 ** (_features(samples)["spectrogram"].T.astype(np.float64) / 10)
    expected = {
        "centroid_hz": librosa.feature.spectral_centroid(S=power, sr=RATE, n_fft=256),
        "bandwidth_hz": librosa.feature.spectral_bandwidth(S=power, sr=RATE, n_fft=256),
        "rolloff_hz": librosa.feature.spectral_rolloff(S=power, sr=RATE, n_fft=256),
        "flatness_db": 10 * np.log10(librosa.feature.spectral_flatness(S=power, power=1)),
    }
    for name, track in expected.items():
        assert statistics[f"{name}_mean"] == pytest.approx(track.mean(), rel=1e-3), name


def test_shapes_look_only_between_fmin_and_fmax() -> None:
    spec = SPEC.model_copy(update={"fmin_hz": 300.0, "fmax_hz": 1000.0})
    outside = np.sin(2 * np.pi * 2500 * TIME)
    assert 300 <= _statistics(_voice(500) + outside, spec)["centroid_hz_mean"] <= 1000


@pytest.mark.parametrize("amplitude_db", [0.0, -20.0])
def test_level_of_a_sine_is_its_amplitude(amplitude_db: float) -> None:
    sine = 10 ** (amplitude_db / 20) * np.sin(2 * np.pi * 1000 * TIME)
    assert _statistics(sine)["level_db_p50"] == pytest.approx(amplitude_db, abs=0.05)


def test_level_and_mfcc_changes_are_slopes_per_frame() -> None:
    pool = StatisticsPool(SPEC)
    features = _features(np.random.default_rng(0).uniform(-0.1, 0.1, 8000))
    ramp = np.arange(len(features["mfcc"]))[:, None] * np.float32(0.5)
    rising = dict(zip(statistics_names(SPEC), pool(**features | {"mfcc": features["mfcc"] * 0 + ramp}), strict=True))
    inner = (len(ramp) - 4) * 0.5 + 2 * (0.5 * 0.8 + 0.5 * 0.5)  # at the ends the neighbours are missing
    assert rising["mfcc3_change_mean"] == pytest.approx(inner / len(ramp), rel=1e-4)
    fading = np.sin(2 * np.pi * 1000 * TIME) * 10 ** (-20 * TIME / 20)  # 20 dB per second, 16 ms per frame
    assert _statistics(fading)["level_change_db_p50"] == pytest.approx(-20 * 0.016, rel=0.02)


@pytest.mark.parametrize("f0_hz", [160, 250, 333, 450, 700, 1200])
def test_f0_of_a_voice_is_found_without_octave_errors(f0_hz: float) -> None:
    statistics = _statistics(_voice(f0_hz))
    for pool in ("p10", "p50", "p90"):
        assert statistics[f"f0_hz_{pool}"] == pytest.approx(f0_hz, rel=0.02)
    assert statistics["voiced_fraction"] > 0.95
    assert statistics["voicing_p50"] > 0.9


def test_noise_is_less_voiced_than_a_voice() -> None:
    statistics = _statistics(np.random.default_rng(0).normal(0, 0.1, 16_000))
    assert statistics["voiced_fraction"] < 0.2
    assert statistics["silent_fraction"] == 0


def test_silence_is_neither_voiced_nor_undefined() -> None:
    statistics = _statistics(np.zeros(8000))
    assert np.isfinite(list(statistics.values())).all()
    assert statistics["silent_fraction"] == 1
    assert statistics["voiced_fraction"] == statistics["f0_hz_mean"] == 0


def test_a_voice_too_faint_to_be_heard_is_silence() -> None:
    statistics = _statistics(1e-3 * _voice(400))
    assert statistics["voicing_p50"] > 0.9
    assert (statistics["voiced_fraction"], statistics["silent_fraction"]) == (0, 1)


@pytest.mark.parametrize("samples", [1, 127, 128, 300])
def test_a_few_frames_are_enough(samples: int) -> None:
    values = _statistics(np.random.default_rng(0).uniform(-1, 1, samples))
    assert np.isfinite(list(values.values())).all()


def test_window_too_short_for_any_pitch_says_unvoiced() -> None:
    spec = SPEC.model_copy(update={"n_fft": 64, "window_samples": 32, "hop_samples": 16, "sample_rate_hz": 48_000})
    spec = spec.model_copy(update={"mels": 8, "mfcc": 8, "fmax_hz": 24_000.0})
    statistics = _statistics(_voice(300), spec)
    assert statistics["voiced_fraction"] == statistics["voicing_mean"] == 0
