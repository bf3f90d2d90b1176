"""The kind ``mfcc``: the first coefficients of the cosine transform of the mel decibels."""

from typing import TYPE_CHECKING

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds.interface import Kind, always, decibels

if TYPE_CHECKING:
    from torch.nn import Module


def _computer(spec: FeatureSetSpec) -> "Module":
    from cry_pipeline.features.transforms import Product, dct_matrix

    return Product(dct_matrix(spec.mels, spec.mfcc))


KIND = Kind(
    name="mfcc",
    dtype="float32",
    rows="frame",
    axis="coefficient",
    width=lambda spec: spec.mfcc,
    attributes=lambda spec: decibels(spec, dct="orthonormal type II of the mel dB"),
    inputs=("mel",),
    by="frame",
    computer=_computer,
    present=always,
)
