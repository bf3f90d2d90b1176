"""What networks see of recordings: images in memory, or mapped from a file.

Belongs here: holding them, and cutting a fold's part. Does not: making them (run_images.py, features/hybrid.py), and
batches (batches.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cry_pipeline.catalog.networks import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

ImageKey = tuple[tuple[str, ...], int, int]
"""Planes, bins and frame_pool: specs that agree in these share images."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images ``[all recordings, planes, bins, columns]`` and lengths of a run, and which of them are meant.

    ``positions`` are int64 ``[recordings]``; ``file`` is where ``images`` lie, float32, if not in memory.
    """

    images: Tensor
    lengths: Tensor
    positions: Tensor
    file: Path | None = None

    @property
    def mapped(self) -> bool:
        """Whether the images lie in a file."""
        return self.file is not None

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the same file, and does not get the images sent."""
        if self.file is None:
            return Images, (self.images, self.lengths, self.positions)
        return _mapped, (self.file, tuple(self.images.shape), self.lengths, self.positions)

    def take(self, positions: np.ndarray) -> Images:
        """Return the images at ``positions`` of these, without copying any."""
        return replace(self, positions=self.positions[positions])

    @property
    def own_lengths(self) -> Tensor:
        """Columns of the recordings meant, int64 ``[recordings]``."""
        return self.lengths[self.positions]


def image_key(spec: NetworkSpec) -> ImageKey:
    """Return what decides a spec's images."""
    return tuple(spec.planes), spec.bins, spec.frame_pool


def _mapped(file: Path, shape: tuple[int, ...], lengths: Tensor, positions: Tensor) -> Images:
    import torch

    # Copy on write: torch wants an array that may be written to.
    return Images(torch.from_numpy(np.memmap(file, np.float32, "c", shape=shape)), lengths, positions, file)
