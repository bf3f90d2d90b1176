"""What a kind of feature says about itself: one array of a feature set, and how it comes about.

Belongs here: the interface, and words that several kinds share. Does not: any one kind (a file each, beside this one)
and which kinds there are (the package).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec

POWER = "power"
"""The input that every kind may start from: the power spectrogram over the reference, float32 [..., frames, bins]."""

UNITS = {"full_scale_sine": "dB re full-scale sine", "one": "dB re 1, the power of the windowed FFT itself"}


def always(spec: FeatureSetSpec) -> bool:
    """Say that a kind belongs to every feature set."""
    return True


@dataclass(frozen=True)
class Kind:
    """One array of a feature set: ``[frames or recordings, width]``."""

    name: str
    dtype: str
    rows: Literal["frame", "recording"]
    """Name of the first axis: ``frame``, ragged over recordings, or ``recording``."""
    axis: str
    """Name of the second axis."""
    width: Callable[[FeatureSetSpec], int]
    attributes: Callable[[FeatureSetSpec], dict[str, Any]]
    """Units and what the second axis' positions mean, for whoever opens the array by itself."""
    inputs: tuple[str, ...]
    """What it is computed from, in the order of its computer's arguments: other kinds, or :data:`POWER`."""
    by: Literal["frame", "recording"]
    """How much its computer is given at a time.

    ``frame``: any number of frames, of which each is computed by itself, in torch, where the samples are; the computer
    is a ``torch.nn.Module`` from float32 ``[batch, frames, width]`` of each input to the same of its own, and can be
    exported. ``recording``: a whole recording, in NumPy; from float32 ``[frames, width]`` of each input, not yet
    rounded to its dtype, to ``[frames, width]`` or, for ``rows`` of recordings, ``[width]``.
    """
    computer: Callable[[FeatureSetSpec], Callable[..., Any]]
    """Returns what computes it, with its constants made; heavy imports belong in it."""
    present: Callable[[FeatureSetSpec], bool] | None = None
    """Whether a feature set holds it; None: where the set's ``extra_kinds`` name it."""
    frequencies_hz: Callable[[FeatureSetSpec], np.ndarray] | None = None
    """Centre frequency of each position of the second axis, rising, float64 [width]; None: it is no frequency."""
    revision: int = 1
    """Raised when a change of code changes its values: the feature sets that hold it are then computed anew."""

    def in_set(self, spec: FeatureSetSpec) -> bool:
        """Return whether the feature set holds it."""
        return self.name in spec.extra_kinds if self.present is None else self.present(spec)


def decibels(spec: FeatureSetSpec, **axis: Any) -> dict[str, Any]:
    """Return the attributes of an array in decibels, and ``axis``, which says what its second axis means."""
    return {
        "units": UNITS[spec.reference],
        "floor_db": spec.floor_db,
        "frame_s": spec.hop_samples / spec.sample_rate_hz,
        **axis,
    }
