"""Augmentation of a training batch, on the device it lies on: no step of it looks at a single recording in Python.

Belongs here: what is done to images, lengths and targets at random. Does not: when (classifier.py, on training
batches only), and standardisation (features/hybrid.py).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cry_pipeline.catalog.networks import AugmentationSpec, Plane


class Augmentation:
    """Rolls, louder and softer, noise, masks, mixtures, in this order, as ``spec`` says.

    All random numbers come from generators of its own, so that a seed gives the same batches whatever else draws
    random numbers: on the CPU, but for the noise, which is as large as the batch and drawn on its device.

    Args:
        spec: what is done.
        planes: what the planes of the images are.
        sd: what a row's values were divided by, dB, float32 [planes, bins]: a gain is given in dB.
        seed: of the generators.
    """

    def __init__(self, spec: AugmentationSpec, planes: Sequence[Plane], sd: Tensor, seed: int) -> None:
        self.spec = spec
        self.seed = seed
        self.random = torch.Generator().manual_seed(seed)
        self.betas = np.random.default_rng(seed)  # torch draws from a Beta distribution without a generator only
        self.noise: torch.Generator | None = None
        # A gain shifts each bin and each mel by the same dB; of the MFCCs only the first, by an amount that
        # depends on the number of mels, which the image no longer tells. They are left as they are.
        levels = torch.tensor([plane != "mfcc" for plane in planes], dtype=torch.float32)
        self.gain = levels[:, None] / sd

    def __call__(self, images: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return images ``[batch, planes, bins, columns]``, lengths ``[batch]`` and targets ``[batch, classes]`` anew.

        Columns behind a recording's own are 0 before and after.
        """
        spec = self.spec
        not_padding = torch.arange(images.shape[3], device=images.device) < lengths[:, None]
        if spec.roll:
            images = self._rolled(images, lengths, not_padding)
        if spec.gain_db:
            images = images + self._gains(images)
        if spec.noise:
            images = images + self._noise(images)
        keep = not_padding[:, None, None, :]
        if spec.row_masks or spec.column_masks:
            keep = keep & self._kept(images.shape, lengths.cpu()).to(images.device)
        images = images * keep
        if spec.mixup:
            images, lengths, targets = self._mixed(images, lengths, targets)
        return images, lengths, targets

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.random)

    def _rolled(self, images: Tensor, lengths: Tensor, not_padding: Tensor) -> Tensor:
        """Roll some recordings along their own columns; what leaves at the end comes in at the start."""
        chosen = self._uniform(len(images)) < self.spec.roll
        shift = (self._uniform(len(images)) * chosen).to(images.device) * lengths
        columns = torch.arange(images.shape[3], device=images.device)
        source = torch.where(not_padding, (columns + shift.long()[:, None]) % lengths[:, None], columns)
        return images.gather(3, source[:, None, None, :].expand_as(images))

    def _gains(self, images: Tensor) -> Tensor:
        gains_db = torch.randn(len(images), generator=self.random) * self.spec.gain_db
        return (gains_db[:, None, None] * self.gain).to(images.device)[..., None]

    def _noise(self, images: Tensor) -> Tensor:
        """Gaussian noise, of a strength between none and the spec's for each recording."""
        if self.noise is None or self.noise.device != images.device:
            self.noise = torch.Generator(images.device).manual_seed(self.seed)
        strength = (self._uniform(len(images), 1, 1, 1) * self.spec.noise).to(images.device)
        return torch.randn(images.shape, generator=self.noise, device=images.device) * strength

    def _kept(self, shape: torch.Size, lengths: Tensor) -> Tensor:
        """Return which pixels no mask covers, bool ``[batch, planes, bins, columns]`` or broadcast to it.

        SpecAugment: masks of rows differ between planes, whose rows are not the same frequencies; masks of columns
        cover all planes, whose columns are the same moments, and lie within a recording's own.
        """
        spec, (batch, planes, bins, columns) = self.spec, shape
        rows = _bands(
            bins,
            self._uniform(spec.row_masks, batch, planes) * (spec.row_mask_width + 1),
            self._uniform(spec.row_masks, batch, planes) * bins,
        )
        times = _bands(
            columns,
            # No more than a third of a recording, however short it is.
            torch.minimum(self._uniform(spec.column_masks, batch) * (spec.column_mask_width + 1), lengths / 3),
            self._uniform(spec.column_masks, batch) * lengths,
        )
        return ~(rows[:, :, :, None] | times[:, None, None, :])

    def _mixed(self, images: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mix each recording with another of its batch: λ·a + (1 − λ)·b with λ ≥ ½ from Beta(mixup, mixup)."""
        drawn = self.betas.beta(self.spec.mixup, self.spec.mixup, len(images)).astype(np.float32)
        share = torch.from_numpy(np.maximum(drawn, 1 - drawn)).to(images.device)
        other = torch.randperm(len(images), generator=self.random).to(images.device)
        image_share, target_share = share[:, None, None, None], share[:, None]
        return (
            image_share * images + (1 - image_share) * images[other],
            torch.maximum(lengths, lengths[other]),
            target_share * targets + (1 - target_share) * targets[other],
        )


def _bands(size: int, widths: Tensor, starts: Tensor) -> Tensor:
    """Return which of ``size`` places any band covers: ``[bands, …]`` widths and starts to bool ``[…, size]``."""
    places = torch.arange(size)
    starts = starts.long()[..., None]
    return ((places >= starts) & (places < starts + widths.long()[..., None])).any(dim=0)
