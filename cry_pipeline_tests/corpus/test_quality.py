"""Measures are those of their formulas."""

import numpy as np
import pytest

from cry_pipeline.corpus import quality
from cry_pipeline.corpus.quality import FLOOR_DBFS, autocorrelation, measure, silent_fraction, voiced_fraction

RATES = [8000, 16_000, 44_100]


def harmonic(hz: float, rate_hz: int, seconds: float = 2.0) -> np.ndarray:
    """A tone with falling harmonics below 4 kHz, as a cry's, of amplitude 0.1 for the first."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    k = np.arange(1, int(3999 // hz) + 1)[:, None]
    return np.sum(0.1 / k * np.sin(2 * np.pi * k * hz * t), axis=0).astype(np.float32)


def noise(rate_hz: int, seconds: float = 2.0) -> np.ndarray:
    """White noise."""
    return (0.1 * np.random.default_rng(0).normal(size=round(seconds * rate_hz))).astype(np.float32)


def test_full_scale_sine_has_minus_3_dbfs():
    sine = np.sin(2 * np.pi * 100 * np.arange(8000) / 8000).astype(np.float32)
    quality = measure(sine, 8000)
    assert quality.rms_dbfs == pytest.approx(-3.0103, abs=1e-4)
    assert quality.peak == pytest.approx(1.0, abs=1e-6)
    assert quality.silent_fraction == 0


def test_peak_counts_negative_samples():
    assert measure(np.array([0.1, -0.75], np.float32), 8000).peak == 0.75


def test_clipped_fraction_counts_both_rails_from_0_999():
    assert measure(np.array([1, -1, 0.9995, 0.998, 0, 0, 0, 0], np.float32), 8000).clipped_fraction == 3 / 8


def test_silence_is_at_the_floor():
    quality = measure(np.zeros(8000, np.float32), 8000)
    assert (quality.rms_dbfs, quality.silent_fraction, quality.voiced_fraction) == (FLOOR_DBFS, 1, 0)


@pytest.mark.parametrize("samples", [0, 1, 100, 400])
def test_very_short_recordings_are_measured(samples):
    quality = measure(np.full(samples, 1e-6, np.float32), 8000)
    assert quality.silent_fraction == 1
    assert quality.voiced_fraction == 0


@pytest.mark.parametrize("rate_hz", [1, 10, 24, 25, 26])
def test_frame_is_at_least_one_sample_however_low_the_rate(rate_hz):
    assert silent_fraction(np.array([0.5, 0, 0, 0], np.float32), rate_hz) in (0.75, 1.0)
    assert measure(np.full(5000, 0.5, np.float32), rate_hz).silent_fraction == 0


@pytest.mark.parametrize("rate_hz", RATES)
def test_silent_fraction_is_that_of_20_ms_frames(rate_hz):
    frame = round(0.020 * rate_hz)
    loud, quiet = np.full(frame * 30, 0.0034, np.float32), np.full(frame * 10, 0.0030, np.float32)  # -49.4, -50.5 dB
    assert silent_fraction(np.concatenate([loud, quiet]), rate_hz) == 0.25


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("hz", [250, 450, 700])
def test_cry_like_tone_is_voiced(hz, rate_hz):
    assert voiced_fraction(harmonic(hz, rate_hz), rate_hz) > 0.98


@pytest.mark.parametrize("rate_hz", RATES)
def test_white_noise_is_not_voiced(rate_hz):
    assert voiced_fraction(noise(rate_hz), rate_hz) < 0.02


@pytest.mark.parametrize("hz", [50, 100, 150])
def test_hum_below_a_cry_is_not_voiced(hz):
    t = np.arange(16_000) / 8000
    assert voiced_fraction((0.1 * np.sin(2 * np.pi * hz * t)).astype(np.float32), 8000) == 0


def test_voiced_fraction_is_a_share_of_the_recording():
    half = np.concatenate([harmonic(450, 8000), noise(8000)])
    assert voiced_fraction(half, 8000) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("frames", [1, 7, 98, 99, 100])
def test_voiced_fraction_does_not_depend_on_how_many_frames_are_looked_at_at_once(monkeypatch, frames):
    half = np.concatenate([harmonic(450, 8000), noise(8000)])[: 100 * 160 + 160]
    whole = voiced_fraction(half, 8000)
    monkeypatch.setattr(quality, "VOICE_FRAMES_AT_ONCE", frames)
    assert voiced_fraction(half, 8000) == whole


def test_voiced_fraction_does_not_depend_on_level_but_on_silence():
    loud = harmonic(450, 8000)
    assert voiced_fraction(loud / 10, 8000) == voiced_fraction(loud, 8000)
    assert voiced_fraction(loud / 1000, 8000) == 0


def test_offset_of_the_microphone_is_no_voice():
    assert voiced_fraction(noise(8000) / 10 + np.float32(0.3), 8000) < 0.02


def test_autocorrelation_equals_the_plain_formula():
    frames = np.random.default_rng(1).normal(size=(5, 320)) + harmonic(450, 8000, 0.04)
    lags = np.arange(1, 60)
    expected = [
        [x[:-lag] @ x[lag:] / np.sqrt((x[:-lag] @ x[:-lag]) * (x[lag:] @ x[lag:])) for lag in lags] for x in frames
    ]
    np.testing.assert_allclose(autocorrelation(frames, lags), expected, rtol=0, atol=1e-12)
    assert not autocorrelation(np.zeros((2, 320)), lags).any()


@pytest.mark.parametrize(("hz", "voiced"), [(190, 0), (205, 1), (780, 1)])
def test_pitch_range_is_that_of_a_cry(hz, voiced):
    assert voiced_fraction(harmonic(hz, 8000), 8000) == voiced
