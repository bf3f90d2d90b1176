"""Sounds that may be taken for a cry: the same for ever, each other than the others, and what their formulas say."""

import hashlib

import librosa
import numpy as np
import pytest

from cry_pipeline.corpus.synthetic import confusers
from cry_pipeline.corpus.synthetic.confusers import DURATION_S, KINDS, REVISION, sound_of
from cry_pipeline.corpus.synthetic.encoding import UPLOADS

GOLDEN = {
    "cat": (-21.3, 1384),
    "siren": (-16.89, 426),
    "laughter": (-21.24, 488),
    "mimicry": (-20.15, 611),
    "babble": (-19.88, 628),
    "music": (-9.92, 576),
    "vacuum_cleaner": (-24.73, 757),
    "cry": (-11.18, 1010),
}
"""By kind: level of sound 0 in dB relative to full scale, and where half of its power lies below, in Hz."""


def half_power_hz(samples: np.ndarray, rate_hz: int) -> float:
    power = np.cumsum(np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2)
    return float(np.searchsorted(power, power[-1] / 2) * rate_hz / len(samples))


def measured(kind: str) -> tuple[float, float]:
    samples, audio = sound_of(kind, 0)
    level_db = 10 * np.log10(np.mean(samples.astype(np.float64) ** 2))
    return float(level_db), round(half_power_hz(samples, audio.sample_rate_hz))


def pitches_hz(kind: str, number: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Pitch of the loudest third of a sound's frames, by librosa's YIN."""
    samples, audio = sound_of(kind, number)
    hop = audio.sample_rate_hz // 100
    found = librosa.yin(
        samples, fmin=low_hz, fmax=high_hz, sr=audio.sample_rate_hz, frame_length=8 * hop, hop_length=hop
    )
    loudness = librosa.feature.rms(y=samples, frame_length=8 * hop, hop_length=hop)[0][: len(found)]
    return found[loudness > np.quantile(loudness, 2 / 3)]


def test_sounds_are_what_they_were() -> None:
    assert REVISION == 1
    for kind in KINDS:
        (level_db, half_hz), (was_db, was_hz) = measured(kind), GOLDEN[kind]
        assert level_db == pytest.approx(was_db, abs=0.02), f"{kind} has changed: raise REVISION"
        assert half_hz == pytest.approx(was_hz, abs=1.5), f"{kind} has changed: raise REVISION"


@pytest.mark.parametrize("kind", KINDS)
def test_every_sound_is_its_own_and_in_every_format_a_whole_number_of_blocks(kind: str) -> None:
    made = [sound_of(kind, number)[0] for number in (0, 1, 2)]
    again, audio = sound_of(kind, 0)
    np.testing.assert_array_equal(made[0], again)
    assert len({hashlib.sha256(samples.tobytes()).hexdigest() for samples in made}) == 3
    assert again.dtype == np.float32
    assert 0.001 < np.abs(again).max() <= 1.0
    assert len(again) == round(DURATION_S * audio.sample_rate_hz)
    for formats in UPLOADS.values():
        for each in formats:
            assert each.samples(DURATION_S) == round(DURATION_S * each.sample_rate_hz)


def test_kinds_are_played_to_models_as_both_apps_send_them() -> None:
    formats = [sound_of("siren", number)[1] for number in range(4)]
    assert [each in UPLOADS["ios"] for each in formats] == [False, True] * 2
    assert [each in UPLOADS["android"] for each in formats] == [True, False] * 2
    assert set(KINDS) - {confusers.CONTROL} == {
        "cat", "siren", "laughter", "mimicry", "babble", "music", "vacuum_cleaner",
    }  # fmt: skip


def test_cats_meow_where_cats_do() -> None:
    pitch = np.concatenate([pitches_hz("cat", number, 150, 1500) for number in range(6)])
    assert 350 < np.median(pitch) < 900
    assert np.quantile(pitch, 0.9) < 1200


def test_sirens_stay_between_their_pitches_and_move() -> None:
    for number in range(6):
        pitch = pitches_hz("siren", number, 250, 1900)
        assert np.quantile(pitch, 0.1) > 330
        assert np.quantile(pitch, 0.9) < 1700
        assert np.quantile(pitch, 0.95) / np.quantile(pitch, 0.05) > 1.25


def test_laughter_comes_in_calls_of_about_five_a_second() -> None:
    rates = []
    for number in range(6):
        samples, audio = sound_of("laughter", number)
        hop = audio.sample_rate_hz // 100
        loudness = librosa.feature.rms(y=samples, frame_length=4 * hop, hop_length=hop)[0]
        spectrum = np.abs(np.fft.rfft(loudness - loudness.mean()))
        hz = np.fft.rfftfreq(len(loudness), 0.01)
        inside = (hz > 2) & (hz < 9)
        rates.append(hz[inside][spectrum[inside].argmax()])
    assert 3.5 < np.median(rates) < 6.0


def test_vacuum_cleaners_are_noise_and_music_is_tones() -> None:
    flat = {
        kind: np.median([librosa.feature.spectral_flatness(y=sound_of(kind, number)[0]).mean() for number in (1, 3, 5)])
        for kind in ("vacuum_cleaner", "music")
    }
    assert flat["vacuum_cleaner"] > 3 * flat["music"]


def test_an_unknown_kind_is_none() -> None:
    with pytest.raises(KeyError):
        sound_of("dog", 0)
