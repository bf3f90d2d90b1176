"""Samples → one feature set's values of each recording, as the store keeps them.

Belongs here: the order in which kinds are computed, and how much at a time. Does not: any kind itself (kinds/,
transforms.py, statistics.py), and where samples come from and values go (extraction.py).
"""

from collections.abc import Sequence

import numpy as np
import torch

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.batching import padded
from cry_pipeline.features.kinds import kinds_of
from cry_pipeline.features.store.rows import all_finite
from cry_pipeline.features.transforms import FeatureTransform

BLOCK_SAMPLES = 2**17
"""Samples in the frames that a CPU transforms at a time: 512 frames of 256, 256 of 512, of which each stage takes 1 MB
in float64. With more, stages fall out of its caches; with fewer, starting each FFT costs more than that."""

Values = dict[str, np.ndarray]
"""A recording's values by kind, in the dtypes of the store: [frames, width], or [width] of the whole recording."""


class FeatureSetComputer:
    """All kinds of one feature set, with their constants, on a device."""

    def __init__(self, spec: FeatureSetSpec, device: str = "cpu") -> None:
        self.spec = spec
        self.device = torch.device(device)
        self.transform = FeatureTransform(spec).to(self.device)
        self._kinds = kinds_of(spec)
        self._poolers = {name: kind.computer(spec) for name, kind in self._kinds.items() if kind.by == "recording"}

    @torch.inference_mode()
    def __call__(self, recordings: Sequence[np.ndarray]) -> list[Values | None]:
        """Return the values of each of ``recordings``, float32 [samples]; None where not all of them are finite."""
        features = {name: values.cpu() for name, values in self.features(recordings).items()}
        return [self._of_one(features, row, len(own)) for row, own in enumerate(recordings)]

    @torch.inference_mode()
    def features(self, recordings: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Return those kinds that are computed frame by frame, float32 [recordings, frames, width], on the device."""
        samples, lengths = padded(recordings)
        block_frames = self._block_frames(len(recordings))
        return self.transform.in_blocks(samples.to(self.device), lengths.to(self.device), block_frames)

    def _block_frames(self, recordings: int) -> int | None:
        """Return how many frames of each recording are transformed at a time; None: all."""
        if self.device.type != "cpu":
            return None
        return max(16, BLOCK_SAMPLES // (self.spec.n_fft * recordings))

    def _of_one(self, features: dict[str, torch.Tensor], row: int, samples: int) -> Values | None:
        frames = self.spec.frames(samples)
        values = {name: array[row, :frames].numpy() for name, array in features.items()}
        for name, compute in self._poolers.items():
            values[name] = compute(*(values[each] for each in self._kinds[name].inputs))
        stored = {name: _as_stored(values[name], kind.dtype) for name, kind in self._kinds.items()}
        return stored if all(map(all_finite, stored.values())) else None


def _as_stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return a copy in the dtype of the store, so that a row that waits does not keep its batch in memory.

    Torch rounds to float16, forty times faster than NumPy.
    """
    return torch.from_numpy(array).to(getattr(torch, dtype), copy=True).numpy()
