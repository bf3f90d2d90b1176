"""The hybrid image: spectrogram, mel and MFCC as the three planes that a network sees.

Belongs here: putting it together, when read, from stored features or inside an exported model, and standardising
its rows. Does not: storing it (it is never stored) and augmenting it (training).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cry_pipeline.catalog.networks import PLANES
from cry_pipeline.features.store.rows import FeatureRows

BATCH = 32
SMALLEST_SD = 1e-6
"""Relative to the mean; a row that varies less is constant (a band at the floor), and is only centred."""


def hybrid(
    spectrogram: Tensor, mel: Tensor, mfcc: Tensor, frames: Tensor, bins: int, frame_pool: int
) -> tuple[Tensor, Tensor]:
    """Return hybrid images, float32 [batch, 3, bins, columns], and how many columns each has, int64 [batch].

    A column is the mean of ``frame_pool`` frames, the last of a recording the mean of those left. Row ``r`` of a
    plane lies at ``r * (width - 1) / (bins - 1)`` on its own frequency axis, linear between neighbours (corners
    aligned: the first and last rows are the first and last bin, mel or coefficient). Columns behind a recording's
    own are 0.

    Args:
        spectrogram: [batch, frames, bins of the FFT]; frames behind a recording's own do not count.
        mel: [batch, frames, mels].
        mfcc: [batch, frames, coefficients].
        frames: how many frames each recording has, int64 [batch].
        bins: rows of each plane, at least 2.
        frame_pool: frames in a column.
    """
    planes = [plane_image(plane, frames, bins, frame_pool) for plane in (spectrogram, mel, mfcc)]
    return torch.stack(planes, dim=1), (frames + frame_pool - 1) // frame_pool


def plane_image(plane: Tensor, frames: Tensor, bins: int, frame_pool: int) -> Tensor:
    """Return one plane of :func:`hybrid`: [batch, frames, width] → float32 [batch, bins, columns]."""
    return _resized(_pooled(plane, frames, frame_pool), bins)


def hybrid_images(
    rows: FeatureRows,
    bins: int,
    frame_pool: int,
    indices: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float32,
    planes: Sequence[str] = PLANES,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the hybrid images of ``indices`` (default: all) for a network, and their lengths.

    ``planes`` are those wanted. ``out`` is written to and returned where given: zeros of the images' shape.

    Returns:
        ``[recordings, planes, bins, columns]`` of ``dtype``, 0 behind each recording's own columns, and their
        number, int64 ``[recordings]``.
    """
    indices = range(len(rows)) if indices is None else indices
    lengths = -(-torch.from_numpy(rows.frames)[list(indices)] // frame_pool)
    images = out
    if images is None:
        images = torch.zeros(len(indices), len(planes), bins, int(lengths.max()) if len(indices) else 0, dtype=dtype)
    for start in range(0, len(indices), BATCH):
        batch = indices[start : start + BATCH]
        frames = torch.from_numpy(rows.frames)[list(batch)]
        for number, kind in enumerate(planes):
            values = pad_sequence([torch.from_numpy(rows.of(kind, index)) for index in batch], batch_first=True)
            plane = plane_image(values, frames, bins, frame_pool)
            images[start : start + BATCH, number, :, : plane.shape[2]] = plane
    return images, lengths


def _pooled(plane: Tensor, frames: Tensor, factor: int) -> Tensor:
    """Return means of ``factor`` frames: [batch, frames, width] → float32 [batch, columns, width]."""
    batch, length, width = plane.shape
    columns = (length + factor - 1) // factor
    here = torch.arange(length, device=plane.device) < frames[:, None]
    values = torch.where(here[:, :, None], plane.float(), 0.0)
    values = torch.nn.functional.pad(values, (0, 0, 0, columns * factor - length))
    left = frames[:, None] - factor * torch.arange(columns, device=plane.device)
    return values.reshape(batch, columns, factor, width).sum(dim=2) / left.clamp(1, factor)[:, :, None]


def _resized(plane: Tensor, bins: int) -> Tensor:
    """Return ``plane`` [batch, columns, width] interpolated along its width: [batch, bins, columns]."""
    width = plane.shape[2]
    position = torch.linspace(0, width - 1, bins, dtype=torch.float64, device=plane.device)[:, None]
    weights = (1 - (position - torch.arange(width, device=plane.device)).abs()).clamp_min(0)
    return weights.float() @ plane.transpose(1, 2)


@dataclass(frozen=True)
class RowStandardiser:
    """Mean and standard deviation of each row of the hybrid image, fitted on the training recordings.

    ``mean`` and ``sd`` are float32 [3, bins].
    """

    mean: Tensor
    sd: Tensor

    @classmethod
    def fit(cls, images: Tensor, lengths: Tensor, positions: Tensor | None = None) -> Self:
        """Return the standardiser of ``images`` [recordings, 3, bins, columns] with ``lengths`` [recordings] columns.

        In two passes in float64: first the mean, then the mean square of what deviates from it. Padding does not
        count. With ``positions`` the recordings are those of ``images`` there, and are taken out a batch at a time.
        """
        count = lengths.sum()
        positions = torch.arange(len(images)) if positions is None else positions
        mean = sum(batch.sum(dim=(0, 3)) for batch, _ in _own_columns(images, lengths, positions)) / count
        squares = sum(
            ((batch - mean[:, :, None]) * here).square().sum(dim=(0, 3))
            for batch, here in _own_columns(images, lengths, positions)
        )
        sd = (squares / count).sqrt()
        constant = sd <= SMALLEST_SD * mean.abs().clamp_min(1)
        return cls(mean.float(), torch.where(constant, 1.0, sd).float())

    def apply(self, images: Tensor, lengths: Tensor) -> Tensor:
        """Return ``images`` standardised, float32 of their shape, 0 behind each recording's own columns."""
        here = _here(images, lengths)
        return torch.where(here, (images.float() - self.mean[:, :, None]) / self.sd[:, :, None], 0.0)


def _here(images: Tensor, lengths: Tensor) -> Tensor:
    """Return which columns are a recording's own, [recordings, 1, 1, columns]."""
    return (torch.arange(images.shape[3], device=images.device) < lengths[:, None])[:, None, None]


def _own_columns(images: Tensor, lengths: Tensor, positions: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for where, count in zip(positions.split(BATCH), lengths.split(BATCH), strict=True):
        batch = images[where]
        here = _here(batch, count)
        yield torch.where(here, batch.double(), 0.0), here
