"""Samples → power → dB, mel, MFCC, and what pooled statistics are of, sixteen frames at a time in one pass.

Belongs here: the order of one pass, and each of its steps on a block of frames. Does not: the constants and who calls
it (transform.py beside this), how a transform is done (fourier.py), what a lane can do (lanes.py).

Two frames are transformed as one of complex numbers, Z = FFT(a + ib), of which |FFT(a)|² and |FFT(b)|² are
¼·|Z[k] + Z*[n−k]|² and ¼·|Z[k] − Z*[n−k]|². Until then all is float64, from then on float32.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from cry_pipeline.features.kernel.fourier import Steps, transformed
from cry_pipeline.features.kernel.lanes import (
    LANES,
    PAIRS,
    columns,
    fma,
    load,
    narrowed,
    split,
    spread,
    square_root,
    store,
    where_greater,
)


class Constants(NamedTuple):
    """What one feature set's pass needs to know; all floats are float32 where nothing else is said."""

    steps: Steps
    window: np.ndarray
    """float64 [n_fft], over the root of the reference power."""
    hop: int
    floor_db: np.float32
    floor: np.float32
    """The power of ``floor_db``."""
    filters: np.ndarray
    """Weights of each mel's bins, one mel after the other."""
    filter_first: np.ndarray
    filter_end: np.ndarray
    cosines: np.ndarray
    """[coefficients, rounded up to fours, mels]."""
    band_end: np.ndarray
    """Mels that end a band of the pooled statistics."""
    mean_square: np.ndarray
    """[bins]: a frame's level, full scale being 1, is the product of this with its power."""
    hertz: np.ndarray
    """Frequencies of the bins from fmin to fmax."""
    inside: int
    """The first of them."""
    rolloff: np.float32
    scores: np.ndarray
    """[1 + lags, rounded up to eights, bins]: see ``StatisticsPool``."""
    lags_s: np.ndarray
    """float64 [lags]."""
    lag_cost: np.ndarray
    lag_step_s: float


SHAPES = 7
"""Tracks behind bands and MFCC: centroid, bandwidth, roll-off, flatness, level, voicing, F0."""

_LOG2 = (
    1.44269502,
    -0.721352935,
    0.480916709,
    -0.360225171,
    0.287288874,
    -0.249271825,
    0.232652575,
    -0.14275974,
)
"""log₂(1 + t)/t on [√½ − 1, √2 − 1], interpolated at the eight Chebyshev points: off by at most 3e-7 dB."""


@njit
def _decibels(power, floor, floor_db):
    """Return 10·log₁₀(power), not below the floor: log₂ by exponent, and a polynomial of the mantissa."""
    held = where_greater(floor, power, floor, power)
    mantissa, exponent = split(held)
    t = mantissa - spread(np.float32(1))
    series = spread(np.float32(_LOG2[7]))
    series = fma(series, t, spread(np.float32(_LOG2[6])))
    series = fma(series, t, spread(np.float32(_LOG2[5])))
    series = fma(series, t, spread(np.float32(_LOG2[4])))
    series = fma(series, t, spread(np.float32(_LOG2[3])))
    series = fma(series, t, spread(np.float32(_LOG2[2])))
    series = fma(series, t, spread(np.float32(_LOG2[1])))
    series = fma(series, t, spread(np.float32(_LOG2[0])))
    found = spread(np.float32(3.0102999566398120)) * fma(series, t, exponent)
    return where_greater(floor_db, found, floor_db, found) + (held - held)  # what is no number stays none


@njit
def _windowed(samples, first, hop, count, window, real, imaginary):
    """Put 16 frames, windowed, side by side: the first eight as real parts, the others as imaginary ones."""
    whole = len(window) // PAIRS * PAIRS
    for start in range(0, whole, PAIRS):
        a = columns(samples, first + start, hop, count - 1)
        b = columns(samples, first + start + PAIRS * hop, hop, count - 1 - PAIRS)
        to = start * PAIRS
        for number in range(PAIRS):
            weight = spread(window[start + number])
            store(real, to + number * PAIRS, a[number] * weight)
            store(imaginary, to + number * PAIRS, b[number] * weight)
    for place in range(whole, len(window)):
        for frame in range(PAIRS):
            at = first + place + min(frame, count - 1) * hop
            also = first + place + min(frame + PAIRS, count - 1) * hop
            real[place * PAIRS + frame] = samples[at] * window[place]
            imaginary[place * PAIRS + frame] = samples[also] * window[place]


@njit
def _rows(block, count, out, first):
    """Put the first ``count`` frames of ``block`` [width · LANES] into the rows of ``out`` from ``first`` on."""
    for frame in range(count):
        row = out[first + frame]
        for place in range(len(row)):
            row[place] = block[place * LANES + frame]


@njit
def _products(rows, first_row, row_length, block, out):
    """Store four rows' products with a block of ``row_length`` values: four sums at a time keep the adders busy."""
    a = b = c = d = spread(np.float32(0))
    for place in range(row_length):
        values = load(block, place * LANES)
        a = fma(spread(rows[first_row, place]), values, a)
        b = fma(spread(rows[first_row + 1, place]), values, b)
        c = fma(spread(rows[first_row + 2, place]), values, c)
        d = fma(spread(rows[first_row + 3, place]), values, d)
    store(out, first_row * LANES, a)
    store(out, (first_row + 1) * LANES, b)
    store(out, (first_row + 2) * LANES, c)
    store(out, (first_row + 3) * LANES, d)


@njit
def _shapes(power, decibels, k, tracks, to, stride):
    """Store centroid, bandwidth, roll-off, flatness and level of a block."""
    zero = spread(np.float32(0))
    level = total = first = second = logs = zero
    for place in range(len(k.mean_square)):
        level = fma(spread(k.mean_square[place]), load(power, place * LANES), level)
    for place in range(len(k.hertz)):
        of = load(power, (k.inside + place) * LANES)
        hertz = spread(k.hertz[place])
        total = total + of
        first = fma(hertz, of, first)
        second = fma(hertz * hertz, of, second)
        logs = logs + load(decibels, (k.inside + place) * LANES)
    centroid = first / total
    variance = second / total - centroid * centroid
    store(tracks, to, centroid)
    store(tracks, to + stride, square_root(where_greater(variance, zero, variance, zero)))
    below, rolloff, wanted = zero, spread(k.hertz[0]), spread(k.rolloff) * total
    for place in range(len(k.hertz) - 1):
        below = below + load(power, (k.inside + place) * LANES)
        rolloff = where_greater(wanted, below, spread(k.hertz[place + 1]), rolloff)
    store(tracks, to + 2 * stride, rolloff)
    bins = spread(np.float32(len(k.hertz)))
    lowest, lowest_db = spread(np.float32(1e-37)), spread(np.float32(-370))
    store(tracks, to + 3 * stride, logs / bins - _decibels(total / bins, lowest, lowest_db))
    store(tracks, to + 4 * stride, _decibels(level, lowest, lowest_db))


@njit
def _pitch(scores, k, tracks, to, stride):
    """Store voicing and F0 of a block, of the ``scores`` of all lags: see ``StatisticsPool``."""
    best, place = load(scores, 2 * LANES), spread(np.float32(1))
    for lag in range(2, len(k.lags_s) - 1):
        found = load(scores, (1 + lag) * LANES)
        place = where_greater(found, best, spread(np.float32(lag)), place)
        best = where_greater(found, best, found, best)
    store(tracks, to, place)
    for frame in range(LANES):
        peak = int(tracks[to + frame])
        at = peak * LANES + frame
        left = scores[at] / scores[frame] + k.lag_cost[peak - 1]
        top = scores[at + LANES] / scores[frame] + k.lag_cost[peak]
        right = scores[at + 2 * LANES] / scores[frame] + k.lag_cost[peak + 1]
        bend = left - np.float32(2) * top + right
        shift = (left - right) / (np.float32(2) * bend) if bend < 0 else np.float32(0)
        tracks[to + frame] = min(max(top, np.float32(0)), np.float32(1))
        shift = min(max(shift, np.float32(-0.5)), np.float32(0.5))
        tracks[to + stride + frame] = 1 / (k.lags_s[peak] + k.lag_step_s * shift)


@njit
def _spectrum(real, imaginary, k, power, above, decibels):
    """Store the power of 16 frames, the same not below the floor, and its decibels, [bins · LANES] each."""
    n_fft, quarter = len(k.window), spread(0.25)
    floor, floor_db = spread(k.floor), spread(k.floor_db)
    for place in range(n_fft // 2 + 1):
        mirrored = (n_fft - place) % n_fft * PAIRS
        ar, ai = load(real, place * PAIRS), load(imaginary, place * PAIRS)
        br, bi = load(real, mirrored), load(imaginary, mirrored)
        er, ei, hr, hi = ar + br, ai - bi, ai + bi, br - ar
        value = narrowed(quarter * (er * er + ei * ei), quarter * (hr * hr + hi * hi))
        store(power, place * LANES, value)
        store(above, place * LANES, where_greater(floor, value, floor, value))
        store(decibels, place * LANES, _decibels(value, floor, floor_db))


@njit
def _mels(power, k, mel):
    """Store the decibels of each mel, [mels · LANES]: only bins under its filter are gone over."""
    floor, floor_db, weight = spread(k.floor), spread(k.floor_db), 0
    for band in range(len(k.filter_first)):
        total = spread(np.float32(0))
        for place in range(k.filter_first[band], k.filter_end[band]):
            total = fma(spread(k.filters[weight]), load(power, place * LANES), total)
            weight += 1
        store(mel, band * LANES, _decibels(total, floor, floor_db))


@njit
def _bands(mel, k, tracks, to, stride):
    """Store the mean of each band's mels."""
    start = 0
    for band in range(len(k.band_end)):
        total = spread(np.float32(0))
        for place in range(start, k.band_end[band]):
            total = total + load(mel, place * LANES)
        store(tracks, to + band * stride, total / spread(np.float32(k.band_end[band] - start)))
        start = k.band_end[band]


@njit(cache=True, nogil=True, error_model="numpy")
def compute(samples, k, power_rows, spectrogram, mel, mfcc, tracks):
    """Fill the four arrays, float32 [frames, width], and ``tracks``, float32 [tracks, frames rounded up to LANES].

    ``samples`` float32 are continued at their ends as the feature set asks. ``power_rows`` may have no row: it is then
    left out. ``tracks`` are bands, MFCC, and :data:`SHAPES`; with no row they are left out, too.
    """
    n_fft, frames, mels, coefficients = len(k.window), len(mel), mel.shape[1], mfcc.shape[1]
    bins = n_fft // 2 + 1
    xr, xi, yr, yi = np.empty(n_fft * PAIRS), np.empty(n_fft * PAIRS), np.empty(n_fft * PAIRS), np.empty(n_fft * PAIRS)
    power, decibels = np.empty(bins * LANES, np.float32), np.empty(bins * LANES, np.float32)
    above, mel_block = np.empty(bins * LANES, np.float32), np.empty(mels * LANES, np.float32)
    cepstrum = np.empty(len(k.cosines) * LANES, np.float32)
    scores = np.empty(len(k.scores) * LANES, np.float32)
    flat, stride = tracks.reshape(-1), tracks.shape[1]
    for first in range(0, frames, LANES):
        count = min(LANES, frames - first)
        _windowed(samples, first * k.hop, k.hop, count, k.window, xr, xi)
        real, imaginary = transformed(xr, xi, yr, yi, k.steps)
        _spectrum(real, imaginary, k, power, above, decibels)
        if len(power_rows):
            _rows(power, count, power_rows, first)
        _rows(decibels, count, spectrogram, first)
        _mels(power, k, mel_block)
        _rows(mel_block, count, mel, first)
        for coefficient in range(0, len(k.cosines), 4):
            _products(k.cosines, coefficient, mels, mel_block, cepstrum)
        _rows(cepstrum, count, mfcc, first)
        if len(tracks):
            _bands(mel_block, k, flat, first, stride)
            to = len(k.band_end) * stride + first
            for coefficient in range(coefficients):
                store(flat, to + coefficient * stride, load(cepstrum, coefficient * LANES))
            to += coefficients * stride
            _shapes(above, decibels, k, flat, to, stride)
            to += 5 * stride
            if len(k.lags_s) < 3:
                store(flat, to, spread(np.float32(0)))
                store(flat, to + stride, spread(np.float32(0)))
            else:
                for score in range(0, len(k.scores), 4):
                    _products(k.scores, score, k.scores.shape[1], above, scores)
                _pitch(scores, k, flat, to, stride)
