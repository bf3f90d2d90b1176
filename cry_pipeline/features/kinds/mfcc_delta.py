"""The kind ``mfcc_delta``: how the MFCC change over time, where a feature set's ``mfcc_deltas`` ask for it.

The Savitzky-Golay slopes, and for ``mfcc_deltas: 2`` also curvatures, over :data:`WIDTH` frames, ends continued by the
first and last frame: ``librosa.feature.delta(mfcc, width=9, order=1 or 2, mode="nearest")``. (librosa's default mode,
"interp", cannot do recordings of fewer frames.)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds.interface import UNITS, Kind

WIDTH = 9
POWERS_OF_FRAME = ("per frame", "per frame squared")


def _computer(spec: FeatureSetSpec) -> Callable[[np.ndarray], np.ndarray]:
    from scipy.signal import savgol_coeffs

    orders = range(1, spec.mfcc_deltas + 1)
    weights = np.array([savgol_coeffs(WIDTH, polyorder=order, deriv=order, use="dot") for order in orders])

    def deltas(mfcc: np.ndarray) -> np.ndarray:
        """Return float32 [frames, orders · coefficients]: all slopes, then all curvatures."""
        ends = np.pad(mfcc.astype(np.float64), ((WIDTH // 2, WIDTH // 2), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(ends, WIDTH, axis=0)
        return np.concatenate([windows @ weight for weight in weights], axis=1).astype(np.float32)

    return deltas


def _attributes(spec: FeatureSetSpec) -> dict[str, Any]:
    orders = range(1, spec.mfcc_deltas + 1)
    return {
        "units": UNITS[spec.reference],
        "frame_s": spec.hop_samples / spec.sample_rate_hz,
        "orders": [f"order {order}, {POWERS_OF_FRAME[order - 1]}" for order in orders],
        "names": [f"mfcc{coefficient}_delta{order}" for order in orders for coefficient in range(spec.mfcc)],
        "delta": f"Savitzky-Golay over {WIDTH} frames, polynomial of the order itself, ends continued",
    }


KIND = Kind(
    name="mfcc_delta",
    dtype="float32",
    rows="frame",
    axis="coefficient_delta",
    width=lambda spec: spec.mfcc_deltas * spec.mfcc,
    attributes=_attributes,
    inputs=("mfcc",),
    by="recording",
    computer=_computer,
    present=lambda spec: spec.mfcc_deltas > 0,
)
