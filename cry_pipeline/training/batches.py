"""Batches cut from images of a cohort, in memory or mapped from a file.

Belongs here: order, size, cutting. Does not: making images (images.py), and changing them (augmentation.py).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor, Tensor]
"""Images ``[batch, planes, bins, columns]``, lengths ``[batch]``, labels ``[batch]``."""


class Batches:
    """Batches cut from one tensor by one indexing each; an iterable that Lightning takes as it is.

    Each pass over it is one epoch. Batches differ by at most one recording in size, so that no small rest
    gets a step of its own, and are as wide as their longest recording.

    Args:
        images: ``[recordings, planes, bins, columns]``, zero-padded; may be mapped from a file.
        lengths: valid columns ``[recordings]``, int64.
        labels: class codes ``[recordings]``, int64.
        size: recordings in a batch, at most.
        shuffle_seed: seed of the orders of all epochs; None for the given order.
        positions: where in ``images`` the recordings lie ``[recordings]``, int64; None where they are all of them.
        standardise: what is done to a batch's images and lengths; None where the images are ready.
    """

    def __init__(
        self,
        images: Tensor,
        lengths: Tensor,
        labels: Tensor,
        size: int,
        shuffle_seed: int | None,
        positions: Tensor | None = None,
        standardise: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self.images, self.lengths, self.labels = images, lengths, labels
        self.positions, self.standardise = positions, standardise
        self.count = -(-len(labels) // size)
        self.generator = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        total = len(self.labels)
        order = torch.arange(total) if self.generator is None else torch.randperm(total, generator=self.generator)
        for index in order.tensor_split(self.count):
            lengths = self.lengths[index]
            where = index if self.positions is None else self.positions[index]
            images = self.images[where][..., : int(lengths.max())]
            yield self.standardise(images, lengths) if self.standardise else images, lengths, self.labels[index]
