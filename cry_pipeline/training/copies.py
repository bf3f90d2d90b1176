"""Jittered copies of recordings, for ``augment_then_split`` alone.

Belongs here: what a copy's features are. Does not: which copies there are (folds/copies.py), and augmentation as it
should be, on the fly and of training rows only.

A copy is made from the stored spectrogram, not from samples: louder or softer, begun at another moment, with a
little noise; mel, MFCC and pooled statistics are then computed anew from it, as from a recording. That is as much as
the usual recipes (gain, shift, noise) do to a clip, and leaves it as recognisable.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import KINDS
from cry_pipeline.features.pooling import StatisticsPool
from cry_pipeline.features.store.rows import FeatureRows, stack_rows
from cry_pipeline.folds.copies import parse_copy, recordings_of

GAIN_DB = 6.0
"""A copy is at most so much louder or softer."""
NOISE_DB = (-40.0, -20.0)
"""Level of the noise below the recording's own."""


def has_copies(folds: pd.DataFrame) -> bool:
    """Return whether a table of folds holds copies."""
    return any(parse_copy(name)[1] for name in folds["recording_id"])


def with_copies(
    features: FeatureRows, recording_ids: Iterable[str], spec: FeatureSetSpec, kinds: Sequence[str]
) -> FeatureRows:
    """Return ``kinds`` of all ``recording_ids``, in their order: recordings as they are, copies made from spectrograms.

    The same id always gives the same copy. Offsets tell the frames of each, even where ``kinds`` hold none of them.

    Args:
        features: of each recording that is named itself or as a copy, ``spectrogram`` and ``kinds``.
        recording_ids: of recordings, and of copies as :func:`cry_pipeline.folds.copies.with_copies` names them.
        spec: the feature set.
        kinds: the arrays to return.
    """
    position = {name: index for index, name in enumerate(features.recording_ids)}
    jitter, values, frames = _Jitter(spec), {}, []
    for name in dict.fromkeys(recording_ids):
        recording, number = parse_copy(name)
        frames.append(len(features.of("spectrogram", position[recording])))
        if number and kinds:
            made = jitter(features.of("spectrogram", position[recording]), _generator(name), "statistics" in kinds)
        else:
            made = {kind: features.of(kind, position[recording]) for kind in kinds}
        values[name] = {kind: made[kind].astype(KINDS[kind].dtype) for kind in kinds}
    return replace(stack_rows(values), offsets=np.concatenate([[0], np.cumsum(frames)]).astype(np.int64))


def copying(
    read: Callable[[Sequence[str], Sequence[str]], FeatureRows], spec: FeatureSetSpec
) -> Callable[[Sequence[str], Sequence[str]], FeatureRows]:
    """Return ``read(ids, kinds)`` of the store, extended to copies: each comes from the recording that it is of."""

    def read_copies(ids: Sequence[str], kinds: Sequence[str]) -> FeatureRows:
        stored = read(recordings_of(ids), tuple(dict.fromkeys([*kinds, "spectrogram"])))
        return with_copies(stored, ids, spec, kinds)

    return read_copies


class _Jitter:
    """The copies of one feature set."""

    def __init__(self, spec: FeatureSetSpec) -> None:
        from cry_pipeline.features.transforms import dct_matrix, mel_filters

        self.spec = spec
        self.filters, self.cosines = mel_filters(spec).numpy(), dct_matrix(spec.mels, spec.mfcc).numpy()
        self.pool = StatisticsPool(spec)

    def __call__(self, spectrogram: np.ndarray, rng: np.random.Generator, statistics: bool) -> dict[str, np.ndarray]:
        """Return a copy of ``spectrogram`` [frames, bins] in dB, and what follows from it, float32."""
        power = 10 ** (np.roll(spectrogram, rng.integers(len(spectrogram)), axis=0).astype(np.float32) / 10)
        power *= np.float32(10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 10))
        # The power of white noise in a bin of a frame is distributed exponentially.
        noise = power.mean() * 10 ** (rng.uniform(*NOISE_DB) / 10)
        power += np.float32(noise) * rng.standard_exponential(power.shape, dtype=np.float32)
        mel = self._decibels(power @ self.filters)
        values = {"spectrogram": self._decibels(power), "mel": mel, "mfcc": mel @ self.cosines}
        return values | ({"statistics": self.pool(**values)} if statistics else {})

    def _decibels(self, power: np.ndarray) -> np.ndarray:
        return 10 * np.log10(np.maximum(power, np.float32(10 ** (self.spec.floor_db / 10))))


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
