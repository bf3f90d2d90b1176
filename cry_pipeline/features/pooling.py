"""One row of statistics per recording, pooled over its frames: what the baselines learn from.

Belongs here: which statistics there are, their names, and their formulas, on one recording's features. Does not: the
features themselves, and any statistic over several recordings.

NumPy does what is short, and sorts (440 frames 20 times faster than torch). Torch does what goes over all bins: its
exponential takes a third of NumPy's time, and its setting of threads holds for all of an extraction.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec

if TYPE_CHECKING:
    from torch import Tensor

BANDS = 12
"""Mels are averaged into at most so many bands, so that a finer mel scale does not swamp the other statistics."""

PERCENTILES = (10, 50, 90)
POOLS = ("mean", "sd", *(f"p{percentile}" for percentile in PERCENTILES))
SHAPES = ("centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness_db", "level_db", "level_change_db", "voicing")

ROLLOFF = 0.85
F0_MIN_HZ, F0_MAX_HZ = 150.0, 1500.0
"""Cries lie at 250 to 700 Hz, hyperphonation above 1 kHz."""
PITCH_MAX_HZ = 3000.0
"""Partials above it do not count in the search for F0."""
LAG_STEP_S = 40e-6
OCTAVE_COST = 0.05
"""Taken off per octave of lag, so that the period wins over its multiples."""
VOICED = 0.5
"""Autocorrelation from which a frame counts as voiced."""
SILENT_DB = -60.0


def statistics_names(spec: FeatureSetSpec) -> list[str]:
    """Return the names of a recording's statistics, in their order."""
    tracks = [f"band{band}_db" for band in range(min(BANDS, spec.mels))]
    tracks += [*(f"mfcc{order}" for order in range(spec.mfcc)), *SHAPES]
    names = [f"{track}_{pool}" for track in tracks for pool in POOLS]
    names += [f"mfcc{order}_change_{pool}" for order in range(spec.mfcc) for pool in ("mean", "sd")]
    return [*names, *(f"f0_hz_{pool}" for pool in POOLS), "voiced_fraction", "silent_fraction"]


class StatisticsPool:
    """The statistics of one feature set, with its bands, frequencies and lags."""

    def __init__(self, spec: FeatureSetSpec) -> None:
        import torch

        from cry_pipeline.features.transforms import reference_power, window

        self.bands = [len(band) for band in np.array_split(np.arange(spec.mels), min(BANDS, spec.mels))]
        """Mels of each band."""
        means = np.repeat(np.eye(len(self.bands)), self.bands, axis=0) / self.bands
        self._bands = torch.from_numpy(means.astype(np.float32))
        hertz = np.arange(spec.bins) * spec.sample_rate_hz / spec.n_fft
        inside = (hertz >= spec.fmin_hz) & (hertz <= spec.fmax_hz)
        self.inside = slice(*np.flatnonzero(np.diff(inside, prepend=False, append=False)))
        """Bins from fmin to fmax."""
        self.hertz = hertz[inside].astype(np.float32)
        """Their frequencies."""
        longest_s = min(1 / F0_MIN_HZ, spec.window_samples / spec.sample_rate_hz / 2)
        self.lags_s = np.arange(1 / F0_MAX_HZ, longest_s, LAG_STEP_S)
        """Periods among which F0 is searched, float64."""
        self.lag_cost = (OCTAVE_COST * np.log2(self.lags_s * F0_MAX_HZ)).astype(np.float32)
        hann = window(spec)
        sides = np.full(spec.bins, 2.0)
        sides[0] = 1
        sides[spec.n_fft / 2 == np.arange(spec.bins)] = 1
        # Parseval: the windowed mean square of a frame; twice it, because a full-scale sine's is a half.
        mean_square = 2 * sides * reference_power(spec) / (spec.n_fft * float(hann.square().sum()))
        self.mean_square = mean_square.astype(np.float32)
        """Weights of a frame's bins in its level."""
        cosines = sides[:, None] * np.cos(2 * np.pi * np.outer(hertz, [0, *self.lags_s]))
        cosines /= np.abs(np.fft.rfft(hann.numpy())) ** 2 @ cosines  # over the window's own autocorrelation
        # A lag's score is its normalised autocorrelation less its cost; times the autocorrelation at lag 0, it is as
        # linear in power as that, and the product need not be gone over again.
        cosines[:, 1:] -= cosines[:, :1] * self.lag_cost
        self.scores = cosines[hertz <= PITCH_MAX_HZ].astype(np.float32)
        """[bins up to PITCH_MAX_HZ, 1 + lags]: a frame's power times it is what :meth:`_pitch` searches."""
        moments = [inside, inside * hertz, inside * hertz**2]
        # Rows: with four columns the product takes three times as long.
        self._weights = torch.from_numpy(np.stack([mean_square, *moments]).astype(np.float32))

    def __call__(self, spectrogram: np.ndarray, mel: np.ndarray, mfcc: np.ndarray) -> np.ndarray:
        """Return the statistics of one recording, float32 [values], named by :func:`statistics_names`.

        Args:
            spectrogram: float32 [frames, bins], dB re full-scale sine.
            mel: float32 [frames, mels], dB.
            mfcc: float32 [frames, coefficients].
        """
        return self.pooled(self.tracks(spectrogram, mel, mfcc))

    def tracks(self, spectrogram: np.ndarray, mel: np.ndarray, mfcc: np.ndarray) -> np.ndarray:
        """Return what is pooled, float32 [tracks, frames]: bands, MFCC, :data:`SHAPES` less the level's change, F0.

        The arguments are those of a call. On a CPU extraction has them of its fused pass (kernel/), held to these.
        """
        import torch

        decibels = torch.from_numpy(spectrogram)
        power = (decibels * (math.log2(10) / 10)).exp2_()
        sums = (self._weights @ power.T).numpy()
        f0, voicing = self._pitch((power[:, : len(self.scores)] @ torch.from_numpy(self.scores)).numpy())
        bands = (torch.from_numpy(mel) @ self._bands).numpy()
        shapes = self._shapes(decibels[:, self.inside], power[:, self.inside], sums[1:])
        rest = np.stack([*shapes, 10 * np.log10(sums[0]), voicing, f0])
        return np.concatenate([bands.T, mfcc.T, rest]).astype(np.float32)

    def pooled(self, tracks: np.ndarray) -> np.ndarray:
        """Return the statistics, float32 [values], of a recording's ``tracks`` [tracks, frames]."""
        mfcc, level = tracks[len(self.bands) : -7], tracks[-3]
        voicing, f0 = tracks[-2:]
        voiced = (voicing >= VOICED) & (level > SILENT_DB)
        changes = _change(np.concatenate([mfcc, level[None]]))
        pools = _pool(np.concatenate([tracks[:-2], changes[-1:], voicing[None]]))
        f0_pools = _pool(f0[None, voiced]) if voiced.any() else np.zeros(len(POOLS))
        fractions = np.array([voiced.mean(), (level <= SILENT_DB).mean()])
        values = (pools, np.column_stack(_mean_and_sd(changes[:-1])), f0_pools, fractions)
        return np.concatenate([value.ravel() for value in values]).astype(np.float32)

    def _shapes(self, decibels: "Tensor", power: "Tensor", moments: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return centroid, bandwidth, roll-off (Hz) and flatness (dB) of the bins from fmin to fmax, each [frames].

        As librosa's, on power: bandwidth is the standard deviation about the centroid, flatness the geometric
        over the arithmetic mean.

        Args:
            decibels: [frames, bins from fmin to fmax].
            power: the same as power.
            moments: sums over these bins of power, times frequency, and times its square, [3, frames].
        """
        import torch

        total = moments[0]
        centroid, square = moments[1] / total, moments[2] / total
        bandwidth = np.sqrt(np.maximum(square - centroid**2, 0))
        below = power.cumsum(dim=1)
        reached = torch.searchsorted(below, torch.from_numpy(ROLLOFF * total[:, None])).numpy()[:, 0]
        rolloff = self.hertz[np.minimum(reached, len(self.hertz) - 1)]
        flatness = decibels.mean(dim=1).numpy() - 10 * np.log10(total / len(self.hertz))
        return centroid, bandwidth, rolloff, flatness

    def _pitch(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return F0 in Hz and voicing in [0, 1], each [frames]; 0 where the window is too short to tell.

        ``scores`` are, of each windowed frame, its autocorrelation at lag 0 (the cosine transform of its power, over
        the window's own, Boersma 1993), and at all lags the same less their cost. The highest between the periods of
        ``F0_MAX_HZ`` and ``F0_MIN_HZ`` counts, refined by a parabola through the autocorrelation.
        """
        frames = np.arange(len(scores))
        if len(self.lags_s) < 3:
            return np.zeros(len(frames)), np.zeros(len(frames))
        peak = scores[:, 2:-1].argmax(axis=1) + 1
        left, top, right = (
            scores[frames, 1 + peak + step] / scores[:, 0] + self.lag_cost[peak + step] for step in (-1, 0, 1)
        )
        bend = left - 2 * top + right
        shift = np.where(bend < 0, (left - right) / np.where(bend < 0, 2 * bend, 1), 0)
        return 1 / (self.lags_s[peak] + LAG_STEP_S * np.clip(shift, -0.5, 0.5)), np.clip(top, 0, 1)


def _pool(tracks: np.ndarray) -> np.ndarray:
    """Return mean, standard deviation and percentiles of ``tracks`` [tracks, frames], as [tracks, pools]."""
    ordered = np.sort(tracks, axis=1)
    position = np.array(PERCENTILES) / 100 * (tracks.shape[1] - 1)
    below = position.astype(int)
    above = np.minimum(below + 1, tracks.shape[1] - 1)
    percentiles = ordered[:, below] + (position - below) * (ordered[:, above] - ordered[:, below])
    return np.column_stack([*_mean_and_sd(tracks), percentiles])


def _mean_and_sd(tracks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of ``tracks`` [tracks, frames], each [tracks]."""
    mean = tracks.mean(axis=1)
    apart = tracks - mean[:, None]
    return mean, np.sqrt(np.einsum("tf,tf->t", apart, apart) / tracks.shape[1])


def _change(tracks: np.ndarray) -> np.ndarray:
    """Return the slope over ±2 frames, Σ n·(x[t+n] − x[t−n]) / 10 for n = 1, 2, ends continued (The HTK Book).

    ``tracks`` and what is returned are [tracks, frames].
    """
    first, last = tracks[:, :1], tracks[:, -1:]
    padded = np.concatenate([first, first, tracks, last, last], axis=1)
    return (padded[:, 3:-1] - padded[:, 1:-3] + 2 * (padded[:, 4:] - padded[:, :-4])) / 10
