"""The kind ``mel``: power in bands of the mel scale, in dB."""

from typing import TYPE_CHECKING

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds.interface import POWER, Kind, always, decibels

if TYPE_CHECKING:
    from torch.nn import Module


def _computer(spec: FeatureSetSpec) -> "Module":
    from cry_pipeline.features.transforms import Decibels, mel_filters

    return Decibels(spec.floor_db, mel_filters(spec))


def _frequencies_hz(spec: FeatureSetSpec) -> np.ndarray:
    from librosa import mel_frequencies

    htk = spec.mel_scale == "htk"
    return mel_frequencies(n_mels=spec.mels + 2, fmin=spec.fmin_hz, fmax=spec.fmax_hz, htk=htk)[1:-1]


KIND = Kind(
    name="mel",
    dtype="float16",
    rows="frame",
    axis="mel_band",  # not "mel": xarray takes an array of a dimension's name for its coordinate
    width=lambda spec: spec.mels,
    attributes=lambda spec: decibels(
        spec, fmin_hz=spec.fmin_hz, fmax_hz=spec.fmax_hz, mel_scale=spec.mel_scale, norm="slaney"
    ),
    inputs=(POWER,),
    by="frame",
    computer=_computer,
    present=always,
    frequencies_hz=_frequencies_hz,
)
