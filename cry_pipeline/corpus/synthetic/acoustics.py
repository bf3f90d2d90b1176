"""What made-up sounds are made of: pulses, noise, resonances, hum, and how these swell and wander.

Belongs here: pieces of sound that any source may be made of. Does not: voices (voices.py), and sounds that a voice is
confused with (confusers.py).
"""

import numpy as np


def pulse(cycles: np.ndarray, harmonics: int, tilt_db: float) -> np.ndarray:
    """A band-limited glottal pulse train of unit RMS, read from one period's table at ``cycles`` [samples]."""
    order = np.arange(1, max(harmonics, 1) + 1)
    weight = order ** (tilt_db / 6.02)
    table = (weight[:, None] * np.cos(2 * np.pi * order[:, None] * np.arange(2049) / 2048)).sum(axis=0)
    table /= np.sqrt(0.5 * (weight**2).sum())
    return np.interp(cycles % 1.0, np.linspace(0, 1, 2049), table)


def resonate(formants_hz: tuple[float, ...], rate: int, source: np.ndarray) -> np.ndarray:
    """``source`` ``[samples]`` through a cascade of resonances of unit gain at 0 Hz (Klatt 1980)."""
    sections = []
    for hz in formants_hz:
        if hz < 0.47 * rate:
            radius = np.exp(-np.pi * (60 + 0.06 * hz) / rate)  # bandwidths of some 80 to 400 Hz
            damping, memory = -2 * radius * np.cos(2 * np.pi * hz / rate), radius**2
            sections.append([1 + damping + memory, 0, 0, 1, damping, memory])
    from scipy import signal  # takes seconds, and who only asks which corpus there is makes no voice

    return np.asarray(signal.sosfilt(np.array(sections), source))


def hum(samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Hum of the mains at 50 Hz, of unit RMS."""
    seconds = np.arange(samples) / rate
    return pulse(50.0 * seconds + rng.random(), 12, rng.uniform(-9, -3))


def noise(samples: int, rate: int, slope_db: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit RMS whose power falls by ``slope_db`` per octave above 60 Hz."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / rate), 60.0) / 60.0)
    sloped = np.fft.irfft(spectrum * 10 ** (slope_db * octaves / 20), samples)
    return sloped / (np.sqrt(np.mean(sloped**2)) + 1e-12)


def swell(samples: int, rise: float, fall: float) -> np.ndarray:
    """A smooth envelope from 0 to 1 and back; ``rise`` and ``fall`` are fractions of its length."""
    position = np.linspace(0, 1, samples)
    return np.sin(0.5 * np.pi * np.clip(np.minimum(position / rise, (1 - position) / fall), 0, 1))


def wander(samples: int, every: int, rng: np.random.Generator) -> np.ndarray:
    """A slow random walk about 0 of unit variance at its knots, one each ``every`` samples."""
    knots = rng.normal(size=samples // max(every, 1) + 2)
    return np.interp(np.arange(samples) / max(every, 1), np.arange(knots.size), knots)
