"""Tracks of a recording → its statistics, in two passes around NumPy's sort.

Belongs here: means, deviations, percentiles and changes of tracks. Does not: which tracks there are and what the
statistics are called (features/pooling.py, whose ``StatisticsPool.pooled`` is the reference).

Sums are of sixteen lanes, put together in their order, so that they too are the same on every machine.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cry_pipeline.features.kernel.lanes import LANES, fma, load, spread, store
from cry_pipeline.features.pooling import PERCENTILES, POOLS, SILENT_DB, VOICED

NUMBERS = len(POOLS)
LOW, MIDDLE, HIGH = (np.float64(percentile / 100) for percentile in PERCENTILES)
VOICING, LEVEL = np.float32(VOICED), np.float32(SILENT_DB)
AFTER_MFCC = 7
"""Tracks after the MFCC: centroid, bandwidth, roll-off, flatness, level, voicing, F0."""


def pooled(tracks: NDArray[np.float32], mfcc: int) -> NDArray[np.float32]:
    """Return the statistics, float32 [values], of a recording's ``tracks`` [tracks, frames], ``mfcc`` of them MFCC."""
    rows = np.empty(tracks.shape, np.float32)
    values = np.empty(NUMBERS * (len(rows) + 1) + 2 * mfcc + 2, np.float32)
    _prepared(tracks, mfcc, rows, values)
    _pooled(tracks, mfcc, rows, np.sort(rows, axis=1), values)
    return values


@njit
def _summed(total, lanes):
    """Return the sum of the lanes of ``total``, in their order; ``lanes`` is a place for them."""
    store(lanes, 0, total)
    summed = np.float32(0)
    for lane in range(LANES):
        summed += lanes[lane]
    return summed


@njit
def _mean_and_deviation(row, start, count, values, to):
    """Store mean and standard deviation of ``count`` numbers of ``row`` from ``start`` on."""
    lanes, whole = np.empty(LANES, np.float32), count // LANES * LANES
    total = spread(np.float32(0))
    for place in range(0, whole, LANES):
        total = total + load(row, start + place)
    summed = _summed(total, lanes)
    for place in range(whole, count):
        summed += row[start + place]
    mean = summed / np.float32(count)
    total, level = spread(np.float32(0)), spread(mean)
    for place in range(0, whole, LANES):
        apart = load(row, start + place) - level
        total = fma(apart, apart, total)
    squares = _summed(total, lanes)
    for place in range(whole, count):
        squares += (row[start + place] - mean) ** 2
    values[to], values[to + 1] = mean, np.sqrt(squares / np.float32(count))


@njit
def _percentiles(ordered, start, count, values, to):
    """Store the percentiles of ``count`` numbers that rise, between neighbours in proportion."""
    for number, share in enumerate((LOW, MIDDLE, HIGH)):
        position = share * (count - 1)
        below = int(position)
        low, high = ordered[start + below], ordered[start + min(below + 1, count - 1)]
        values[to + number] = low + (position - below) * (high - low)


@njit
def _change(track, change):
    """Store the slope over ±2 frames, the ends continued: see :func:`cry_pipeline.features.pooling._change`."""
    last = len(track) - 1
    for frame in range(len(track)):
        one = track[min(frame + 1, last)] - track[max(frame - 1, 0)]
        two = track[min(frame + 2, last)] - track[max(frame - 2, 0)]
        change[frame] = (one + np.float32(2) * two) / np.float32(10)


@njit(cache=True, nogil=True, error_model="numpy")
def _prepared(tracks, mfcc, rows, values):
    """Fill ``rows`` with what has percentiles, and of ``values`` mean and deviation of each MFCC's change."""
    count, frames = tracks.shape
    rows[: count - 2] = tracks[: count - 2]
    _change(tracks[count - 3], rows[count - 2])
    rows[count - 1] = tracks[count - 2]
    change = np.empty(frames, np.float32)
    to = NUMBERS * count
    for coefficient in range(mfcc):
        _change(tracks[count - AFTER_MFCC - mfcc + coefficient], change)
        _mean_and_deviation(change, 0, frames, values, to + 2 * coefficient)


@njit(cache=True, nogil=True, error_model="numpy")
def _pooled(tracks, mfcc, rows, ordered, values):
    """Fill what is left of ``values``: of each row, of F0 where a frame is voiced, and two shares of frames."""
    count, frames = rows.shape
    flat, rising = rows.reshape(-1), ordered.reshape(-1)
    for row in range(count):
        _mean_and_deviation(flat, row * frames, frames, values, NUMBERS * row)
        _percentiles(rising, row * frames, frames, values, NUMBERS * row + 2)
    level, voicing, f0 = tracks[count - 3], tracks[count - 2], tracks[count - 1]
    voiced, silent, pitches = 0, 0, np.empty(frames, np.float32)
    for frame in range(frames):
        silent += level[frame] <= LEVEL
        if voicing[frame] >= VOICING and level[frame] > LEVEL:
            pitches[voiced] = f0[frame]
            voiced += 1
    to = NUMBERS * count + 2 * mfcc
    values[to : to + NUMBERS] = 0
    if voiced:
        _mean_and_deviation(pitches, 0, voiced, values, to)
        _percentiles(np.sort(pitches[:voiced]), 0, voiced, values, to + 2)
    values[to + NUMBERS], values[to + NUMBERS + 1] = voiced / frames, silent / frames
