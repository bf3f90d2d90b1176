"""What a feature set holds: the arrays' names, dtypes, axes, units and widths, and the digest they live under.

Belongs here: the one table that extraction writes by, the store checks against, and a new kind of feature is
added to. Does not: how an array is computed (transforms.py, statistics.py) or kept (parts.py, store.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec, digest
from cry_pipeline.features.statistics import statistics_names

REVISION = 1
"""Raised when a change of code changes values: all features are then computed anew, under another digest."""


@dataclass(frozen=True)
class Kind:
    """One array of a feature set: ``[frames or recordings, width]``."""

    dtype: str
    rows: str
    """Name of the first axis: ``frame``, ragged over recordings, or ``recording``."""
    axis: str
    """Name of the second axis."""
    width: Callable[[FeatureSetSpec], int]
    attributes: Callable[[FeatureSetSpec], dict[str, Any]]
    """Units and what the second axis' positions mean, for whoever opens the array by itself."""


def _decibels(spec: FeatureSetSpec, **axis: Any) -> dict[str, Any]:
    return {
        "units": "dB re full-scale sine",
        "floor_db": spec.floor_db,
        "frame_s": spec.hop_samples / spec.sample_rate_hz,
        **axis,
    }


KINDS = MappingProxyType(
    {
        "spectrogram": Kind(
            dtype="float16",
            rows="frame",
            axis="bin",
            width=lambda spec: spec.bins,
            attributes=lambda spec: _decibels(spec, bin_hz=spec.sample_rate_hz / spec.n_fft),
        ),
        "mel": Kind(
            dtype="float16",
            rows="frame",
            axis="mel_band",  # not "mel": xarray takes an array of a dimension's name for its coordinate
            width=lambda spec: spec.mels,
            attributes=lambda spec: _decibels(
                spec, fmin_hz=spec.fmin_hz, fmax_hz=spec.fmax_hz, mel_scale=spec.mel_scale, norm="slaney"
            ),
        ),
        "mfcc": Kind(
            dtype="float32",
            rows="frame",
            axis="coefficient",
            width=lambda spec: spec.mfcc,
            attributes=lambda spec: _decibels(spec, dct="orthonormal type II of the mel dB"),
        ),
        "statistics": Kind(
            dtype="float32",
            rows="recording",
            axis="statistic",
            width=lambda spec: len(statistics_names(spec)),
            attributes=lambda spec: {"names": statistics_names(spec)},
        ),
    }
)


def parameters(spec: FeatureSetSpec) -> dict[str, Any]:
    """Return the parameters that values depend on, as JSON types: the entry without its description."""
    return spec.model_dump(mode="json", exclude={"description"})


def feature_set_digest(spec: FeatureSetSpec) -> str:
    """Return the digest that the set's arrays live under: of its parameters and the implementation's revision."""
    return digest(spec=parameters(spec), revision=REVISION)


def frequencies_hz(spec: FeatureSetSpec, kind: str) -> np.ndarray:
    """Return the centre frequency of each bin of ``spectrogram`` or ``mel``, rising, float64 [bins].

    Raises:
        ValueError: the kind has no frequency axis.
    """
    if kind == "spectrogram":
        return np.arange(spec.bins) * spec.sample_rate_hz / spec.n_fft
    if kind == "mel":
        from librosa import mel_frequencies

        htk = spec.mel_scale == "htk"
        return mel_frequencies(n_mels=spec.mels + 2, fmin=spec.fmin_hz, fmax=spec.fmax_hz, htk=htk)[1:-1]
    raise ValueError(f"{kind} has no frequency axis; spectrogram and mel have one")
