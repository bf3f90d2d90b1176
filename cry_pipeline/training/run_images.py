"""The images of a run's recordings: made once, in memory where they fit, mapped from a file where not.

Belongs here: making them for all folds of a run, and where they are kept meanwhile. Does not: how one image is made
(features/hybrid.py), and what a fold takes of them (images.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from cry_pipeline.catalog.base import BaseModelSpec, FeatureKind
from cry_pipeline.catalog.models import single_models
from cry_pipeline.catalog.networks import NetworkSpec
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.images import ImageKey, Images, image_key

CHUNK = 256
"""Recordings whose features are read at a time."""
FeatureReader = Callable[[Sequence[str], Sequence[str]], FeatureRows]
"""Returns the arrays of some recordings, by ids and kinds."""


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
    return [network for network in single_models(spec) if isinstance(network, NetworkSpec)]


def resident_kinds(spec: BaseModelSpec) -> tuple[FeatureKind, ...]:
    """Return the feature kinds that the spec's models read themselves, and not as images."""
    kinds: dict[FeatureKind, None] = {}
    for single in single_models(spec):
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
