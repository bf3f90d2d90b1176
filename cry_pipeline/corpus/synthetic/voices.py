"""Synthetic voices: cry-like sounds, and sounds that are no cries, from a source-filter model.

Belongs here: acoustics – who a donor sounds like (:class:`Voice`), what a cry is made of, and which trait a
reason shifts. Does not: which donor records what and when (plan.py), and audio files (encoding.py).

The model is the classic one (Fant 1960): a glottal source with pitch, jitter, shimmer and vibrato, breath
noise beside it, and resonances of the vocal tract on both. Pitch, vowel resonances and melody types follow
what is published of infant cries (Wasz-Höckert et al. 1968; LaGasse et al. 2005, doi 10.1002/mrdd.20050):
pitch of 300–600 Hz, first resonance about 1.1 kHz, one cry per expiration of about a second.
"""

from dataclasses import dataclass, replace

import numpy as np

from cry_pipeline.corpus.synthetic.acoustics import hum, noise, pulse, resonate, swell, wander

NOT_CRIES = ("noise", "babble", "chat", "mimicry", "hum", "clicks")
"""Kinds of :func:`not_a_cry`: a room, adults talking, a content baby, an adult imitating a cry, hum, handling noise."""

EFFECT_SD = 4.0
"""Between-donor standard deviations by which ``effect=1.0`` shifts a reason's trait."""

EFFECTS = {
    "belly_pain": ("pitch", +1.0),  # higher pitch
    "discomfort": ("brightness", +1.0),  # flatter spectrum
    "cold_hot": ("brightness", +1.0),  # the corpus merges cold_hot into discomfort
    "tired": ("breath", +1.0),  # more breath noise in the voice
    "burping": ("tract", -1.0),  # lower resonances
}
"""Reason -> (trait, sign). Reasons that are not named here, hungry among them, shift nothing."""

REFERENCE_F0_HZ = 420.0

MELODIES = {  # knots of the pitch contour in semitones, evenly spaced over an expiration
    "flat": (0, 0),
    "rising": (-4, 0, 3),
    "falling": (3, 1, -4),
    "rise-fall": (-5, 1, 3, 0, -6),
    "plateau": (-6, 1, 1, 1, -4),
}


@dataclass(frozen=True)
class Voice:
    """A donor: a baby's voice, the room and the microphone.

    ``pitch``, ``brightness``, ``breath`` and ``tract`` are standardised: over donors they have mean 0 and
    standard deviation 1. The others are in the units of their names.
    """

    pitch: float
    brightness: float
    breath: float
    tract: float
    vibrato_hz: float
    vibrato_semitones: float
    jitter_semitones: float
    shimmer: float
    roughness: float
    expiration_s: float
    level_dbfs: float
    room_dbfs: float
    room_slope_db: float
    hum_dbfs: float
    microphone_db: tuple[float, ...]

    @property
    def f0_hz(self) -> float:
        """Median pitch; one standard deviation is two semitones."""
        return REFERENCE_F0_HZ * 2 ** (self.pitch / 6)

    @property
    def tilt_db(self) -> float:
        """Slope of the harmonics in dB per octave, lip radiation included."""
        return -8.0 + 1.5 * self.brightness

    @property
    def breath_db(self) -> float:
        """Level of the breath noise re. the harmonics."""
        return -26.0 + 5.0 * self.breath

    @property
    def formants_hz(self) -> tuple[float, ...]:
        """Resonances of the vocal tract; one standard deviation is 7 % of its length."""
        scale = 1.07**self.tract
        return tuple(scale * hz for hz in (1080.0, 2300.0, 3700.0, 5400.0))


def draw_voice(rng: np.random.Generator) -> Voice:
    """Draw a donor."""
    pitch, brightness, breath, tract = np.clip(rng.normal(size=4), -2, 2).tolist()
    return Voice(
        pitch=pitch,
        brightness=brightness,
        breath=breath,
        tract=tract,
        vibrato_hz=rng.uniform(4, 8),
        vibrato_semitones=rng.uniform(0.1, 0.5),
        jitter_semitones=rng.uniform(0.1, 0.4),
        shimmer=rng.uniform(0.05, 0.2),
        roughness=rng.uniform(0.0, 0.5),
        expiration_s=rng.uniform(0.6, 1.3),
        level_dbfs=rng.normal(-20, 5),
        room_dbfs=rng.normal(-56, 6),
        room_slope_db=rng.uniform(-9, -2),
        hum_dbfs=rng.uniform(-80, -50),
        microphone_db=tuple(rng.normal(0, 3, size=9).tolist()),
    )


def today(voice: Voice, reason: str, effect: float, rng: np.random.Generator) -> Voice:
    """Return ``voice`` as it is in one recording: a third of the between-donor spread, plus the planted effect."""
    traits = {name: getattr(voice, name) + rng.normal(0, 0.33) for name in ("pitch", "brightness", "breath", "tract")}
    if reason in EFFECTS:
        trait, sign = EFFECTS[reason]
        traits[trait] += sign * effect * EFFECT_SD
    return replace(
        voice, **traits, level_dbfs=voice.level_dbfs + rng.normal(0, 3), room_dbfs=voice.room_dbfs + rng.normal(0, 2)
    )


def cry(voice: Voice, duration_s: float, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Return a recording of a cry, float32 ``[samples]`` in [-1, 1]: expirations, inspirations, room, microphone."""
    return record(bout(voice, duration_s, sample_rate_hz, rng), voice, sample_rate_hz, rng)


def not_a_cry(kind: str, voice: Voice, duration_s: float, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Return a recording, float32 ``[samples]`` in [-1, 1], of one of :data:`NOT_CRIES` in the donor's room.

    Raises:
        ValueError: ``kind`` is none of them.
    """
    samples = round(duration_s * sample_rate_hz)
    match kind:
        case "noise":
            sound = noise(samples, sample_rate_hz, rng.uniform(-9, 0), rng) * np.exp(
                wander(samples, samples // 6 + 1, rng)
            )
        case "babble":
            speaker = adult(voice, rng, f0_hz=rng.uniform(110, 230))
            sound = bout(speaker, duration_s, sample_rate_hz, rng, rests_s=(0.0, 0.12), breathes=False)
        case "chat":
            content = replace(
                voice, pitch=voice.pitch - 1, brightness=voice.brightness - 1, expiration_s=rng.uniform(0.15, 0.6)
            )
            sound = bout(content, duration_s, sample_rate_hz, rng, rests_s=(0.1, 0.8), breathes=False)
        case "mimicry":
            imitator = adult(voice, rng, f0_hz=rng.uniform(260, 380))
            sound = bout(replace(imitator, expiration_s=rng.uniform(0.6, 1.4)), duration_s, sample_rate_hz, rng)
        case "hum":
            sound = hum(samples, sample_rate_hz, rng)
        case "clicks":
            struck = rng.normal(size=samples) * (rng.random(samples) < 6 / sample_rate_hz)
            sound = resonate((rng.uniform(300, 2500),), sample_rate_hz, struck)
        case _:
            raise ValueError(f"{kind!r} is no kind of sound that is not a cry; known: {', '.join(NOT_CRIES)}")
    louder_room = replace(voice, room_dbfs=voice.room_dbfs + rng.uniform(0, 12))
    return record(sound, louder_room, sample_rate_hz, rng)


def adult(voice: Voice, rng: np.random.Generator, f0_hz: float) -> Voice:
    """An adult beside the same microphone: a lower pitch, a tract about twice as long, syllables for expirations."""
    return replace(
        voice,
        pitch=6 * float(np.log2(f0_hz / REFERENCE_F0_HZ)),
        tract=rng.uniform(-10, -7),
        breath=rng.normal(),
        brightness=rng.normal(-1, 1),
        expiration_s=rng.uniform(0.12, 0.3),
    )


def bout(
    voice: Voice,
    duration_s: float,
    rate: int,
    rng: np.random.Generator,
    *,
    rests_s: tuple[float, float] = (0.03, 0.12),
    breathes: bool = True,
) -> np.ndarray:
    """Expirations in the voice's rhythm, with inspirations and rests between them: float64 ``[samples]``."""
    sound = np.zeros(round(duration_s * rate))
    at = round(rng.uniform(0, 0.3 * voice.expiration_s) * rate)
    while at < sound.size:
        parts = [_expiration(voice, voice.expiration_s * rng.uniform(0.3, 1.6), rate, rng), _rest(rests_s, rate, rng)]
        if breathes:
            parts += [_inspiration(voice, rate, rng), _rest(rests_s, rate, rng)]
        if rng.random() < 0.15:
            parts.append(_rest((0.3, 1.5), rate, rng))
        for part in parts:
            heard = part[: max(sound.size - at, 0)]
            sound[at : at + heard.size] += heard
            at += part.size
    return sound


def _expiration(voice: Voice, duration_s: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    samples = max(round(duration_s * rate), 64)
    melody = MELODIES[rng.choice(list(MELODIES))]
    seconds = np.arange(samples) / rate
    semitones = (
        rng.normal(0, 0.7)
        + np.interp(np.linspace(0, 1, samples), np.linspace(0, 1, len(melody)), melody)
        + voice.vibrato_semitones * np.sin(2 * np.pi * (voice.vibrato_hz * seconds + rng.random()))
        + voice.jitter_semitones * wander(samples, rate // 200, rng)
    )
    f0_hz = voice.f0_hz * 2 ** (semitones / 12)
    cycles = np.cumsum(f0_hz) / rate
    harmonics = int(0.95 * (rate / 2) / f0_hz.max())
    source = pulse(cycles, harmonics, voice.tilt_db)
    if rng.random() < voice.roughness:
        source *= 1 + 0.4 * np.cos(np.pi * cycles)  # every other pulse is weaker: a subharmonic
    source += 10 ** (voice.breath_db / 20) * rng.normal(size=samples)
    loudness = swell(samples, 0.08, 0.25) * (1 + voice.shimmer * wander(samples, rate // 100, rng))
    jaw = rng.uniform(0.9, 1.1)  # how far the mouth is open moves the first resonance most
    first, *others = voice.formants_hz
    return resonate((first * jaw, *others), rate, source * loudness) * rng.uniform(0.2, 1.0)


def _inspiration(voice: Voice, rate: int, rng: np.random.Generator) -> np.ndarray:
    samples = round(rng.uniform(0.12, 0.28) * rate)
    breath = rng.normal(size=samples) * swell(samples, 0.4, 0.4) * 10 ** (rng.uniform(-32, -22) / 20)
    return resonate(tuple(1.2 * hz for hz in voice.formants_hz), rate, breath)


def _rest(rests_s: tuple[float, float], rate: int, rng: np.random.Generator) -> np.ndarray:
    return np.zeros(round(rng.uniform(*rests_s) * rate))


def record(sound: np.ndarray, voice: Voice, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Put ``sound`` at the voice's level into its room, before its microphone; what is too loud clips."""
    rms = np.sqrt(np.mean(sound**2)) + 1e-9
    heard = sound / rms * 10 ** (voice.level_dbfs / 20)
    heard += 10 ** (voice.room_dbfs / 20) * noise(sound.size, rate, voice.room_slope_db, rng)
    heard += 10 ** (voice.hum_dbfs / 20) * hum(sound.size, rate, rng)
    spectrum = np.fft.rfft(heard)
    hz = np.fft.rfftfreq(sound.size, 1 / rate)
    octave_bands_hz = 62.5 * 2.0 ** np.arange(len(voice.microphone_db))
    gain_db = np.interp(np.log2(np.maximum(hz, 20.0)), np.log2(octave_bands_hz), voice.microphone_db)
    gain_db -= 12 * np.log2(np.maximum(150.0 / np.maximum(hz, 20.0), 1.0))  # phones cut what is below speech
    coloured = np.fft.irfft(spectrum * 10 ** (gain_db / 20), sound.size)
    return np.clip(coloured, -1.0, 1.0).astype(np.float32)
