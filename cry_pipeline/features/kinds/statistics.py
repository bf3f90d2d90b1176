"""The kind ``statistics``: one row of pooled statistics per recording (features/pooling.py)."""

from typing import TYPE_CHECKING

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds.interface import Kind, always
from cry_pipeline.features.pooling import statistics_names

if TYPE_CHECKING:
    from cry_pipeline.features.pooling import StatisticsPool


def _computer(spec: FeatureSetSpec) -> "StatisticsPool":
    from cry_pipeline.features.pooling import StatisticsPool

    return StatisticsPool(spec)


KIND = Kind(
    name="statistics",
    dtype="float32",
    rows="recording",
    axis="statistic",
    width=lambda spec: len(statistics_names(spec)),
    attributes=lambda spec: {"names": statistics_names(spec)},
    inputs=("spectrogram", "mel", "mfcc"),
    by="recording",
    computer=_computer,
    present=always,
)
