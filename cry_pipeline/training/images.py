"""The images of a run's recordings: made once, in memory where they fit, mapped from a file where not.

Belongs here: keeping them, and cutting a fold's part. Does not: how an image is made (features/hybrid.py), and batches
(batches.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cry_pipeline.catalog.base import BaseModelSpec, FeatureKind
from cry_pipeline.catalog.models import EnsembleSpec
from cry_pipeline.catalog.networks import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

    from cry_pipeline.features.store.rows import FeatureRows
    from cry_pipeline.training.datasets import Rows

CHUNK = 256
"""Recordings whose features are read at a time."""
FeatureReader = Callable[[Sequence[str], Sequence[str]], "FeatureRows"]
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


def images_of(rows: Rows, spec: NetworkSpec) -> Images:
    """Return the rows' images, in dB: those of the run where it made some, else made here and now in memory."""
    import torch

    kept = rows.images.get(image_key(spec))
    if kept is not None:
        return kept
    from cry_pipeline.features.hybrid import hybrid_images

    features = rows.with_arrays(spec.inputs)
    images, lengths = hybrid_images(features, spec.bins, spec.frame_pool, planes=spec.planes)
    return Images(images, lengths, torch.arange(len(rows)))


def networks_of(spec: BaseModelSpec) -> list[NetworkSpec]:
    """Return the spec's networks: itself, or those among an ensemble's members."""
    return [network for network in _singles(spec) if isinstance(network, NetworkSpec)]


def resident_kinds(spec: BaseModelSpec) -> tuple[FeatureKind, ...]:
    """Return the feature kinds that the spec's models read themselves, and not as images."""
    kinds: dict[FeatureKind, None] = {}
    for single in _singles(spec):
        if not isinstance(single, NetworkSpec):
            kinds |= dict.fromkeys(single.inputs)
    return tuple(kinds)


@contextmanager
def with_images(
    rows: Rows, spec: BaseModelSpec, read: FeatureReader, *, memory_mib: int, folder: Path
) -> Iterator[Rows]:
    """Give ``rows`` the images that a model of ``spec`` sees, made once for all folds.

    They are made of a few recordings at a time, so that no more features than these are in memory with them. Images
    of over ``memory_mib`` MiB are kept in a file in ``folder`` that is gone when the context is left: the system
    then holds in memory what fits.

    Args:
        rows: with features of any kind, which say how many frames each recording has.
        spec: of one model or an ensemble; where it has no networks, the rows are given back as they are.
        read: returns the arrays of some recordings, by id and kind.
        memory_mib: for the images of one kind.
        folder: where files are kept.
    """
    with ExitStack() as files:
        made: dict[ImageKey, Images] = {}
        for network in networks_of(spec):
            key = image_key(network)
            if key not in made:
                made[key] = _made(rows, network, read, memory_mib, folder, files)
        yield replace(rows, images={**rows.images, **made})


def _made(
    rows: Rows, spec: NetworkSpec, read: FeatureReader, memory_mib: int, folder: Path, files: ExitStack
) -> Images:
    import torch

    from cry_pipeline.features.hybrid import hybrid_images

    lengths = -(-torch.from_numpy(rows.with_arrays(()).frames) // spec.frame_pool)
    shape = (len(rows), len(spec.planes), spec.bins, int(lengths.max()))
    file = None
    if int(np.prod(shape)) * 4 > memory_mib * 2**20:
        scratch = files.enter_context(tempfile.TemporaryDirectory(prefix=".images-", dir=folder))
        file = Path(scratch) / "images"
        images = torch.from_numpy(np.memmap(file, np.float32, "w+", shape=shape))
    else:
        images = torch.zeros(shape)
    for start in range(0, len(rows), CHUNK):
        table = rows.table[start : start + CHUNK]
        chunk = replace(rows, table=table, features=read(table["recording_id"].tolist(), spec.planes), metadata=None)
        out = images[start : start + CHUNK]
        hybrid_images(chunk.with_arrays(spec.planes), spec.bins, spec.frame_pool, planes=spec.planes, out=out)
    return Images(images, lengths, torch.arange(len(rows)), file)


def _mapped(file: Path, shape: tuple[int, ...], lengths: Tensor, positions: Tensor) -> Images:
    import torch

    # Copy on write: torch wants an array that may be written to.
    return Images(torch.from_numpy(np.memmap(file, np.float32, "c", shape=shape)), lengths, positions, file)


def _singles(spec: BaseModelSpec) -> Sequence[BaseModelSpec]:
    return spec.specs if isinstance(spec, EnsembleSpec) else (spec,)
