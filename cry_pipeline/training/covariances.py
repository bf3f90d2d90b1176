"""How the bands of a recording vary together: one row of values per recording from its mel spectrogram.

Belongs here: the formula. Does not: who learns from it (svm.py).
"""

import numpy as np

from cry_pipeline.features.store.rows import FeatureRows


def log_covariances(rows: FeatureRows, bands: int, change_frames: int, ridge: float) -> np.ndarray:
    """Return the upper triangles of log(C + ridge · I), float64 ``[recordings, d · (d + 1) / 2]``.

    C is the covariance over a recording's frames of its mels, averaged into at most ``bands`` bands, and of their
    change x[t + n] − x[t − n] with n = ``change_frames`` (0 at the ends; for n = 0 left out). Off the diagonal the
    values are multiplied by √2, so that distances between rows are the log-Euclidean distances between the matrices
    (Arsigny et al. 2006, doi 10.1002/mrm.20965): in these a band's loudness, the microphone's for instance, matters
    little, and what the bands do together much.

    Args:
        rows: with ``mel``, dB.
        bands: d is this or, with changes, twice this.
        change_frames: n.
        ridge: dB²; also keeps bands at the floor, which do not vary, apart from −∞.
    """
    covariances = np.stack([_covariance(rows.of("mel", index), bands, change_frames) for index in range(len(rows))])
    width = covariances.shape[1]
    scales, directions = np.linalg.eigh(covariances + ridge * np.eye(width))
    logarithms = (directions * np.log(scales)[:, None, :]) @ directions.transpose(0, 2, 1)
    upper = np.triu_indices(width)
    return logarithms[:, *upper] * np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))


def band_means(mels: int, bands: int) -> np.ndarray:
    """Return what takes mels to the means of at most ``bands`` equal bands, float64 ``[mels, bands]``."""
    parts = np.array_split(np.eye(mels), min(bands, mels), axis=1)
    return np.column_stack([part.mean(axis=1) for part in parts])


def _covariance(mel: np.ndarray, bands: int, change_frames: int) -> np.ndarray:
    levels = mel.astype(np.float64) @ band_means(mel.shape[1], bands)
    if change_frames:
        change = np.zeros_like(levels)
        change[change_frames:-change_frames] = levels[2 * change_frames :] - levels[: -2 * change_frames]
        levels = np.column_stack([levels, change])
    return np.cov(levels.T, bias=True)
