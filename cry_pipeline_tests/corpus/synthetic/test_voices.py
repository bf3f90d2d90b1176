"""Synthetic voices sound as their traits say, and the planted effect is in the trait it is documented to be in."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
from scipy.signal import welch

from cry_pipeline.corpus.synthetic.voices import EFFECT_SD, EFFECTS, NOT_CRIES, Voice, cry, draw_voice, not_a_cry, today

RATE_HZ = 16_000
SEEDS = range(6)


def plain_voice(**traits: float) -> Voice:
    """An average donor in a quiet room before a flat microphone, without subharmonics."""
    average = {"pitch": 0.0, "brightness": 0.0, "breath": 0.0, "tract": 0.0} | traits
    quiet = {"roughness": 0.0, "room_dbfs": -90.0, "hum_dbfs": -120.0, "microphone_db": (0.0,) * 9}
    return replace(draw_voice(np.random.default_rng(0)), **average, **quiet)


def density(voice: Voice) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and mean power density of a few cries."""
    cries = [cry(voice, 3.0, RATE_HZ, np.random.default_rng(seed)) for seed in SEEDS]
    hz, power = welch(np.concatenate(cries), RATE_HZ, nperseg=1024)
    return hz, power


def band_db(voice: Voice, low_hz: float, high_hz: float) -> float:
    """Level of a band re. the whole."""
    hz, power = density(voice)
    return 10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum())


def pitch_hz(sound: np.ndarray, low_hz: float = 60.0) -> float:
    """Median pitch of the louder half of the frames, by librosa's YIN."""
    frames_hz = librosa.yin(sound, fmin=low_hz, fmax=1200, sr=RATE_HZ, frame_length=1024)
    loudness = librosa.feature.rms(y=sound, frame_length=1024, hop_length=256)[0]
    return float(np.median(frames_hz[loudness > np.median(loudness)]))


def noisiness(voice: Voice) -> float:
    """Median spectral flatness of a cry's frames: 0 for a pure tone, 1 for white noise."""
    return float(np.median(librosa.feature.spectral_flatness(y=cry(voice, 3.0, RATE_HZ, np.random.default_rng(0)))))


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
def test_a_cry_is_float32_of_the_length_asked_for_and_never_beyond_full_scale(rate_hz: int) -> None:
    loud = replace(plain_voice(), level_dbfs=3.0)
    sound = cry(loud, 1.5, rate_hz, np.random.default_rng(1))
    assert sound.dtype == np.float32
    assert sound.shape == (1.5 * rate_hz,)
    assert np.abs(sound).max() == 1.0


def test_equal_seeds_give_equal_cries_and_other_seeds_do_not() -> None:
    first, again, other = (cry(plain_voice(), 1.2, RATE_HZ, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("pitch", [-2.0, 0.0, 2.0])
def test_the_pitch_heard_is_the_voices_own(pitch: float) -> None:
    voice = plain_voice(pitch=pitch)
    heard = np.median([pitch_hz(cry(voice, 3.0, RATE_HZ, np.random.default_rng(seed))) for seed in SEEDS])
    assert heard == pytest.approx(voice.f0_hz, rel=0.15)


def test_donors_have_the_pitch_of_infants() -> None:
    pitches = [draw_voice(np.random.default_rng(seed)).f0_hz for seed in range(200)]
    assert min(pitches) > 300
    assert max(pitches) < 600
    assert 400 < np.median(pitches) < 440


def test_breath_noise_is_shaped_by_the_resonances() -> None:
    voice = plain_voice(breath=12.0)  # all noise: no harmonics hide the resonances
    hz, power = density(voice)
    near_first = (hz > 600) & (hz < 1600)
    assert hz[near_first][power[near_first].argmax()] == pytest.approx(voice.formants_hz[0], rel=0.12)


def test_without_an_effect_no_reason_changes_a_voice_more_than_another() -> None:
    voices = [today(plain_voice(), reason, 0.0, np.random.default_rng(3)) for reason in ("hungry", *EFFECTS)]
    assert all(voice == voices[0] for voice in voices)


@pytest.mark.parametrize("reason", ["hungry", "lonely", "scared", "unknown"])
def test_reasons_without_a_planted_effect_stay_as_they_are(reason: str) -> None:
    plain, planted = (today(plain_voice(), reason, effect, np.random.default_rng(3)) for effect in (0.0, 1.0))
    assert plain == planted


@pytest.mark.parametrize("reason", sorted(EFFECTS))
def test_an_effect_shifts_one_trait_by_the_documented_number_of_standard_deviations(reason: str) -> None:
    trait, sign = EFFECTS[reason]
    plain, planted = (today(plain_voice(), reason, effect, np.random.default_rng(3)) for effect in (0.0, 0.5))
    assert getattr(planted, trait) - getattr(plain, trait) == pytest.approx(sign * 0.5 * EFFECT_SD)
    assert replace(planted, **{trait: getattr(plain, trait)}) == plain


def test_a_planted_effect_can_be_heard_where_it_is_documented() -> None:
    plain = plain_voice()
    heard = {trait: replace(plain, **{trait: sign * EFFECT_SD}) for trait, sign in EFFECTS.values()}
    seed = np.random.default_rng
    assert pitch_hz(cry(heard["pitch"], 3.0, RATE_HZ, seed(0))) > 1.3 * pitch_hz(cry(plain, 3.0, RATE_HZ, seed(0)))
    assert band_db(heard["brightness"], 2000, 4000) > band_db(plain, 2000, 4000) + 3
    assert band_db(heard["tract"], 700, 900) > band_db(plain, 700, 900) + 3
    assert noisiness(heard["breath"]) > 2 * noisiness(plain)


@pytest.mark.parametrize("kind", NOT_CRIES)
def test_every_kind_of_sound_that_is_no_cry_can_be_made(kind: str) -> None:
    sound = not_a_cry(kind, plain_voice(), 1.5, 8000, np.random.default_rng(2))
    assert sound.shape == (12_000,)
    assert sound.dtype == np.float32
    assert 0 < np.abs(sound).max() <= 1.0


def test_adults_speak_lower_than_babies_cry() -> None:
    pitches = [
        pitch_hz(not_a_cry("babble", plain_voice(pitch=-2.0), 3.0, RATE_HZ, np.random.default_rng(seed)))
        for seed in SEEDS
    ]
    assert np.median(pitches) < 260


def test_an_unknown_kind_of_sound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'singing' is no kind of sound.*known: noise, babble"):
        not_a_cry("singing", plain_voice(), 1.0, 8000, np.random.default_rng(0))


@pytest.mark.parametrize("duration_s", [0.004, 0.02])
def test_a_clip_of_a_few_samples_is_no_special_case(duration_s: float) -> None:
    assert cry(plain_voice(), duration_s, RATE_HZ, np.random.default_rng(0)).shape == (round(duration_s * RATE_HZ),)
