"""Samples → one feature set's values of each recording, as the store keeps them.

Belongs here: the order in which kinds are computed, and how much at a time; the module that extraction runs and an
exported model carries. Does not: any kind itself (kinds/, transforms.py, pooling.py), and where samples come from and
values go (extraction.py).
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kernel import fused_transform
from cry_pipeline.features.kinds import POWER, kept_kinds, kinds_of
from cry_pipeline.features.transforms import frame, power_spectrum, reference_power, window

if TYPE_CHECKING:
    from cry_pipeline.features.kernel.transform import FusedTransform

BLOCK_SAMPLES = 2**17
"""Samples in the frames that a CPU transforms at a time: 512 frames of 256, 256 of 512, of which each stage takes 1 MB
in float64. With more, stages fall out of its caches; with fewer, starting each FFT costs more than that."""

FLOAT16_BEYOND = 65520.0
"""What is not smaller is rounded to an infinite float16."""

Values = dict[str, np.ndarray]
"""A recording's values by kind, in the dtypes of the store: [frames, width], or [width] of the whole recording."""


class Features(NamedTuple):
    """Features of a batch, float32, in dB; frames are the second axis.

    Of a recording of ``n`` samples the first ``spec.frames(n)`` frames are meant; those that follow, up to the longest
    of the batch, are of no recording.
    """

    spectrogram: Tensor
    """``[batch, frames, bins]``"""
    mel: Tensor
    """``[batch, frames, mels]``"""
    mfcc: Tensor
    """``[batch, frames, coefficients]``"""


class FeatureTransform(torch.nn.Module):
    """Samples → all kinds of one feature set that are computed frame by frame, with their constants as buffers."""

    window: Tensor

    def __init__(self, spec: FeatureSetSpec) -> None:
        super().__init__()
        self.spec = spec
        taper = window(spec)
        self.register_buffer("window", taper / math.sqrt(reference_power(spec)), persistent=False)
        self._kinds = {name: kind for name, kind in kinds_of(spec).items() if kind.by == "frame"}
        self.computers = torch.nn.ModuleDict()
        for name, kind in self._kinds.items():
            computer = kind.computer(spec)
            if not isinstance(computer, torch.nn.Module):
                raise TypeError(f"kind {name}: is computed by frame, so its computer must be a torch.nn.Module")
            self.computers[name] = computer

    def forward(self, samples: Tensor, lengths: Tensor) -> Features:
        """Return the features of ``samples`` [batch, samples] in [-1, 1], of which each has ``lengths`` [batch]."""
        values = self._computed(self._framed(samples, lengths))
        return Features(values["spectrogram"], values["mel"], values["mfcc"])

    def in_blocks(self, samples: Tensor, lengths: Tensor, block_frames: int | None) -> dict[str, Tensor]:
        """Return every kind by name, [batch, frames, width]: those of :meth:`forward`, and others where there are.

        ``block_frames`` are computed at a time, so few that what lies between samples and features stays in a CPU's
        cache; None: all at once. (An exported graph has no such loop: its length would be fixed.)
        """
        frames = self._framed(samples, lengths)
        if block_frames is None or frames.shape[1] <= block_frames:
            return self._computed(frames)
        blocks = [self._computed(block) for block in frames.split(block_frames, dim=1)]
        return {name: torch.cat([block[name] for block in blocks], dim=1) for name in blocks[0]}

    def _framed(self, samples: Tensor, lengths: Tensor) -> Tensor:
        # As float64 before they are framed: frames overlap, and a product of two dtypes takes three times as long.
        padding = self.spec.padding if self.spec.center else None
        return frame(samples.double(), lengths, self.spec.n_fft, self.spec.hop_samples, padding)

    def _computed(self, frames: Tensor) -> dict[str, Tensor]:
        values = {POWER: power_spectrum(frames, self.window)}
        for name, computer in self.computers.items():
            values[name] = computer(*(values[source] for source in self._kinds[name].inputs))
        del values[POWER]
        return values


def padded(recordings: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return float32 ``[batch, samples]``, zeros behind each recording's end, and the lengths, int64 ``[batch]``.

    Of a single recording the batch is a view.
    """
    lengths = torch.tensor([len(samples) for samples in recordings])
    if len(recordings) == 1:
        return torch.from_numpy(recordings[0])[None], lengths
    batch = torch.zeros(len(recordings), int(lengths.max()))
    for row, samples in zip(batch, recordings, strict=True):
        row[: len(samples)] = torch.from_numpy(samples)
    return batch, lengths


class FeatureSetComputer:
    """All kinds of one feature set, with their constants, on a device.

    On a CPU recordings go through the fused pass (kernel/) where there is one, and else, as on a GPU, through the
    transforms in torch.
    """

    def __init__(self, spec: FeatureSetSpec, device: str = "cpu") -> None:
        self.spec = spec
        self.device = torch.device(device)
        self.transform = FeatureTransform(spec).to(self.device)
        self.fused = fused_transform(spec) if self.device.type == "cpu" else None
        self._kinds, self._kept = kinds_of(spec), kept_kinds(spec)
        self._poolers = {name: kind.computer(spec) for name, kind in self._kinds.items() if kind.by == "recording"}

    @torch.inference_mode()
    def __call__(self, recordings: Sequence[np.ndarray]) -> list[Values | None]:
        """Return the values of each of ``recordings``, float32 [samples]; None where not all of them are finite."""
        return [self._as_stored(values) for values in self._computed(recordings, pooled=True)]

    @torch.inference_mode()
    def features(self, recordings: Sequence[np.ndarray]) -> list[Values]:
        """Return of each of ``recordings`` the kinds that are computed frame by frame, float32 [frames, width]."""
        return list(self._computed(recordings, pooled=False))

    def _computed(self, recordings: Sequence[np.ndarray], *, pooled: bool) -> Iterator[Values]:
        if self.fused is not None:
            for samples in recordings:
                yield self._fused(self.fused, samples, pooled)
            return
        samples, lengths = padded(recordings)
        made = self.transform.in_blocks(
            samples.to(self.device), lengths.to(self.device), self._block_frames(len(recordings))
        )
        arrays = {name: values.cpu().numpy() for name, values in made.items()}
        for row, frames in enumerate(map(self.spec.frames, map(len, recordings))):
            yield {name: array[row, :frames] for name, array in arrays.items()}

    def _fused(self, fused: "FusedTransform", samples: np.ndarray, pooled: bool) -> Values:
        """Return the values of the pass, and those kinds by frame that it does not know, computed from them."""
        others = [name for name in self.transform.computers if name not in fused.KINDS]
        values = fused(samples, power=bool(others), tracks=pooled)
        tracks = values.pop("tracks")
        for name in others:
            inputs = (torch.from_numpy(values[source])[None] for source in self._kinds[name].inputs)
            values[name] = self.transform.computers[name](*inputs)[0].numpy()
        values.pop(POWER, None)
        return values | ({"statistics": fused.pooled(tracks)} if pooled else {})

    def _block_frames(self, recordings: int) -> int | None:
        """Return how many frames of each recording are transformed at a time; None: all."""
        if self.device.type != "cpu":
            return None
        return max(16, BLOCK_SAMPLES // (self.spec.n_fft * recordings))

    def _as_stored(self, values: Values) -> Values | None:
        for name, compute in self._poolers.items():
            if name not in values:
                values[name] = compute(*(values[source] for source in self._kinds[name].inputs))
        if not all(_stays_finite(values[name], kind.dtype) for name, kind in self._kept.items()):
            return None
        return {name: _as_stored(values[name], kind.dtype) for name, kind in self._kept.items()}


def _stays_finite(array: np.ndarray, dtype: str) -> bool:
    """Return whether no value of float32 ``array`` is NaN, or infinite once it is rounded to ``dtype``."""
    beyond = FLOAT16_BEYOND if dtype == "float16" else np.inf
    return bool(array.min(initial=0) > -beyond and array.max(initial=0) < beyond)  # NaN is neither


def _as_stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return a copy in the dtype of the store, so that a row that waits does not keep its batch in memory.

    Torch rounds to float16, forty times faster than NumPy.
    """
    return torch.from_numpy(array).to(getattr(torch, dtype), copy=True).numpy()
