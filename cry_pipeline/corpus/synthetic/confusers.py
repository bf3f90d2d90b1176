"""Sounds that a detector of cries may take for one: made by formulas, each other than the one before, none recorded.

Belongs here: which kinds there are, how each comes about, and where its acoustics are from. Does not: what they are
made of (acoustics.py), human voices (voices.py), and asking a model (inference).

Every sound is heard through a donor's room, microphone and phone, drawn anew, and through the codec of the corpus'
apps: half of them Android, half iOS. Nothing depends on the clock, so that all models are asked the same. A formula is
no cat: what a model says of these holds for such sounds, and is no rate among all cats.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from cry_pipeline.corpus.synthetic.acoustics import noise, pulse, resonate, swell, wander
from cry_pipeline.corpus.synthetic.encoding import Format, upload_format, write_audio
from cry_pipeline.corpus.synthetic.voices import Voice, adult, bout, cry, draw_voice, not_a_cry, record

REVISION = 1
"""Raised when a kind or a number gives another sound; bundles name it, and theirs is raised with it."""
DURATION_S = 7.04
"""As long as the corpus' recordings, and in every format of the apps a whole number of blocks."""
CONTROL = "cry"
"""The kind that is one: a made-up cry. If a model does not take that for a cry, its no to the others tells little."""

Sound = np.ndarray
Draw = np.random.Generator
FOURTH = 4 / 3


def cat(voice: Voice, rate: int, rng: Draw) -> Sound:
    """A cat's meows, some seconds apart.

    Pitch of 400 to 1,000 Hz, rising and falling, .4 to 1.2 s (Nicastro 2004, doi 10.1037/0735-7036.118.3.287; Schötz et
    al. 2019, doi 10.7287/peerj.preprints.27926); resonances of a tube of 8 to 10 cm closed at one end, whose first
    rises while the mouth opens.
    """
    sound, at = np.zeros(round(DURATION_S * rate)), round(rng.uniform(0.0, 0.5) * rate)
    pitch_hz, first_hz = rng.uniform(450, 850), 35_000 / (4 * rng.uniform(8, 10))
    while at < sound.size:
        samples = round(rng.uniform(0.4, 1.2) * rate)
        along = np.linspace(0, 1, samples)
        bend = np.interp(along, (0, rng.uniform(0.15, 0.5), 1), (rng.uniform(-4, -1), 0, rng.uniform(-7, -2)))
        f0_hz = pitch_hz * 2 ** ((bend + 0.2 * wander(samples, rate // 150, rng)) / 12)
        source = pulse(np.cumsum(f0_hz) / rate, int(0.45 * rate / f0_hz.max()), rng.uniform(-9, -5))
        source += 10 ** (rng.uniform(-35, -20) / 20) * rng.normal(size=samples)
        # The mouth, closed, open, closed: the first resonance of either half of the way, mixed by how open it is.
        opening = swell(samples, 0.4, 0.5)
        closed, opened = (
            resonate((factor * first_hz, 3 * first_hz, 5 * first_hz), rate, source) for factor in (0.6, 1.3)
        )
        _add(sound, at, (closed * (1 - opening) + opened * opening) * swell(samples, 0.15, 0.4))
        at += samples + round(rng.uniform(0.3, 2.0) * rate)
    return record(sound, voice, rate, rng)


def siren(voice: Voice, rate: int, rng: Draw) -> Sound:
    """An emergency vehicle's siren, far or near: a wail or a yelp between two pitches, or two tones a fourth apart.

    A wail takes 4 to 6 s, a yelp .24 to .4 s, both between some 600 and 1,500 Hz; two tones (DIN 14610) lie between 360
    and 630 Hz. The horn's overtones fall by about 9 dB an octave; walls take what is high.
    """
    samples = round(DURATION_S * rate)
    seconds = np.arange(samples) / rate + rng.uniform(0, 10)
    low_hz, high_hz = rng.uniform(500, 750), rng.uniform(1200, 1600)
    match rng.choice(["wail", "yelp", "two tones"]):
        case "wail":
            phase = seconds / rng.uniform(4, 6) % 1
            f0_hz = low_hz * (high_hz / low_hz) ** np.interp(phase, (0, rng.uniform(0.3, 0.5), 1), (0, 1, 0))
        case "yelp":
            phase = seconds / rng.uniform(0.24, 0.4) % 1
            f0_hz = low_hz * (high_hz / low_hz) ** np.interp(phase, (0, 0.5, 1), (0, 1, 0))
        case _:
            f0_hz = rng.uniform(360, 470) * np.where(seconds / rng.uniform(1.0, 1.5) % 1 < 0.5, 1.0, FOURTH)
    moving = f0_hz * (1 + 0.03 * np.tanh(np.linspace(-2, 2, samples)) * rng.choice([-1, 0, 1]))
    sound = pulse(np.cumsum(moving) / rate, int(0.45 * rate / moving.max()), rng.uniform(-14, -7))
    return record(sound * np.exp(0.3 * wander(samples, rate, rng)), voice, rate, rng)


def laughter(voice: Voice, rate: int, rng: Draw) -> Sound:
    """An adult laughing: bouts of short voiced calls with breath between them.

    About five calls a second, of some .17 s with .13 s between, at 150 to 500 Hz and sinking within a bout
    (Bachorowski, Smoski & Owren 2001, doi 10.1121/1.1391244).
    """
    person = replace(adult(voice, rng, rng.uniform(150, 500)), expiration_s=rng.uniform(0.08, 0.16))
    sound, at = np.zeros(round(DURATION_S * rate)), round(rng.uniform(0, 0.4) * rate)
    while at < sound.size:
        calls = int(rng.integers(3, 10))
        for number in range(calls):
            sunk = replace(person, pitch=person.pitch - 0.8 * number / calls)
            call = bout(sunk, 0.2, rate, rng, rests_s=(0.2, 0.2), breathes=False) * (1 - 0.6 * number / calls)
            _add(sound, at, call)
            at += round(rng.uniform(0.19, 0.26) * rate)
        samples = round(rng.uniform(0.2, 0.5) * rate)
        breath = 0.02 * rng.normal(size=samples) * swell(samples, 0.4, 0.4)
        _add(sound, at, resonate(person.formants_hz, rate, breath))
        at += samples + round(rng.uniform(0.1, 0.8) * rate)
    return record(sound, voice, rate, rng)


def mimicry(voice: Voice, rate: int, rng: Draw) -> Sound:
    """An adult who imitates a crying baby: its rhythm and melody, high in an adult's voice, an adult's long throat."""
    return not_a_cry("mimicry", voice, DURATION_S, rate, rng)


def babble(voice: Voice, rate: int, rng: Draw) -> Sound:
    """Three to six adults talking at once, at 85 to 255 Hz, four to five syllables a second, some nearer than others.

    Pitch of speech after Titze 1994 (Principles of Voice Production).
    """
    people = [adult(voice, rng, rng.uniform(85, 255)) for _ in range(rng.integers(3, 7))]
    talk = [bout(person, DURATION_S, rate, rng, rests_s=(0.0, 0.12), breathes=False) for person in people]
    together = np.sum([_level(one) * rng.uniform(0.3, 1.0) for one in talk], axis=0)
    return record(together, voice, rate, rng)


def music(voice: Voice, rate: int, rng: Draw) -> Sound:
    """A tune with chords: notes of a major scale in equal temperament (440 · 2^(n/12) Hz), plucked or held.

    Overtones fall by 6 to 12 dB an octave; a plucked note dies away within a second, as a music box's does.
    """
    samples, plucked = round(DURATION_S * rate), rng.random() < 0.5
    sound, beat_s, tonic = np.zeros(samples), rng.uniform(0.25, 0.7), int(rng.integers(-9, 6))
    scale, step = (0, 2, 4, 5, 7, 9, 11), int(rng.integers(0, 7))
    tilt_db = rng.uniform(-14, -8)
    for beat in range(int(DURATION_S / beat_s) + 1):
        step = int(np.clip(step + rng.integers(-2, 3), -3, 10))
        chord = [step - 7, step - 5, step - 3] if beat % 4 == 0 else []
        for place in [step, *chord]:
            semitones = tonic + 12 * (place // 7) + scale[place % 7]
            length = round(rng.choice([1, 1, 2]) * beat_s * rate)
            cycles = 440 * 2 ** (semitones / 12) * np.arange(length) / rate + rng.random()
            harmonics = max(1, min(12, int(0.45 * rate / (440 * 2 ** (semitones / 12)))))
            fading = np.exp(-np.arange(length) / (rng.uniform(0.15, 0.4) * rate)) if plucked else 1.0
            note = pulse(cycles, harmonics, tilt_db) * fading * swell(length, 0.02, 0.1)
            _add(sound, round(beat * beat_s * rate), note * (1.0 if place == step else 0.5))
    return record(sound, voice, rate, rng)


def vacuum_cleaner(voice: Voice, rate: int, rng: Draw) -> Sound:
    """A vacuum cleaner: rushing air, the whine of its motor and of the fan's blades, swelling where it is moved.

    The motor turns 300 to 600 times a second and its fan has seven to nine blades, so that these pass at 2.1 to
    5.4 kHz; the air's noise falls by 2 to 6 dB an octave.
    """
    samples = round(DURATION_S * rate)
    turns_hz = rng.uniform(300, 600) * (1 + 0.01 * wander(samples, rate // 2, rng))
    cycles = np.cumsum(turns_hz) / rate
    whine = pulse(cycles, int(0.45 * rate / turns_hz.max()), rng.uniform(-12, -6)) * rng.uniform(0.05, 0.4)
    blades = int(rng.integers(7, 10))
    if blades * turns_hz.max() < 0.45 * rate:
        whine += rng.uniform(0.05, 0.3) * np.sin(2 * np.pi * blades * cycles)
    air = noise(samples, rate, rng.uniform(-6, -2), rng)
    return record((air + whine) * np.exp(0.25 * wander(samples, rate, rng)), voice, rate, rng)


def made_up_cry(voice: Voice, rate: int, rng: Draw) -> Sound:
    """A baby that no one ever heard, crying: as in synthetic corpora (voices.py)."""
    return cry(voice, DURATION_S, rate, rng)


@dataclass(frozen=True)
class Kind:
    """What pages call it, and the formula: from a donor (whose room and phone it is), a rate in Hz and a draw."""

    words: str
    make: Callable[[Voice, int, Draw], Sound]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "cat": Kind("cats", cat),
        "siren": Kind("sirens", siren),
        "laughter": Kind("adults laughing", laughter),
        "mimicry": Kind("adults who imitate a cry", mimicry),
        "babble": Kind("adults talking at once", babble),
        "music": Kind("music", music),
        "vacuum_cleaner": Kind("vacuum cleaners", vacuum_cleaner),
        CONTROL: Kind("made-up cries", made_up_cry),
    }
)
"""By name, the control last."""


def sound_of(kind: str, number: int) -> tuple[Sound, Format]:
    """Return the sound ``number`` of a kind, float32 ``[samples]`` in [-1, 1], and the format that it arrives in.

    Raises:
        KeyError: there is no such kind.
    """
    made, audio = KINDS[kind], _format("ios" if number % 2 else "android")
    rng = np.random.default_rng([REVISION, list(KINDS).index(kind), number])
    return made.make(draw_voice(rng), audio.sample_rate_hz, rng), audio


def heard(kind: str, number: int, sample_rate_hz: int) -> Sound:
    """Return the sound ``number`` of a kind as it arrives: encoded, decoded, at ``sample_rate_hz``; float32 [samples].

    Raises:
        KeyError: there is no such kind.
        EncodingError: the installed libav lacks an encoder.
    """
    from cry_pipeline.corpus.decoding import load_samples

    samples, audio = sound_of(kind, number)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{kind}{audio.suffix}"
        write_audio(path, samples, audio)
        return load_samples(path, sample_rate_hz)


@cache
def _format(platform: Literal["android", "ios"]) -> Format:
    return upload_format(platform)


def _add(sound: Sound, at: int, part: Sound) -> None:
    """Add ``part`` to ``sound`` from sample ``at`` on, as far as that reaches."""
    heard = part[: max(sound.size - at, 0)]
    sound[at : at + heard.size] += heard


def _level(sound: Sound) -> Sound:
    return sound / (np.sqrt(np.mean(sound**2)) + 1e-9)
