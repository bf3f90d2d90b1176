"""The kind ``spectrogram``: power of each bin of the FFT, in dB."""

from typing import TYPE_CHECKING

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds.interface import POWER, Kind, always, decibels

if TYPE_CHECKING:
    from torch.nn import Module


def _computer(spec: FeatureSetSpec) -> "Module":
    from cry_pipeline.features.transforms import Decibels

    return Decibels(spec.floor_db)


def _frequencies_hz(spec: FeatureSetSpec) -> np.ndarray:
    return np.arange(spec.bins) * spec.sample_rate_hz / spec.n_fft


KIND = Kind(
    name="spectrogram",
    dtype="float16",
    rows="frame",
    axis="bin",
    width=lambda spec: spec.bins,
    attributes=lambda spec: decibels(spec, bin_hz=spec.sample_rate_hz / spec.n_fft),
    inputs=(POWER,),
    by="frame",
    computer=_computer,
    present=always,
    frequencies_hz=_frequencies_hz,
)
