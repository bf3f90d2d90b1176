"""One recording of the manifest → its samples, at the rates that feature sets ask for.

Belongs here: reading the file again, and that it still is what the manifest says. Does not: how audio is decoded
(corpus/decoding.py), and many recordings at a time (extraction.py).
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cry_pipeline.corpus.cage.decoder import CageError
from cry_pipeline.corpus.decoding import DecodeError, decode_bytes, resample
from cry_pipeline.corpus.probing import samples_digest
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.corpus.sources import SourceError
from cry_pipeline.digests import sha256_of

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots

LOG = logging.getLogger("cry_pipeline")
COLUMNS = ["recording_id", "root", "path", "samples_digest"]
"""Of the manifest, what is needed to find a file and to know it again."""
CHANGED = "has changed since the manifest was made: take the inventory again"


class Recording(NamedTuple):
    """A row of the manifest: :data:`COLUMNS`."""

    recording_id: str
    root: str
    path: str
    samples_digest: str


class Loaded(NamedTuple):
    """A recording's samples by their rate in Hz, or why there are none."""

    recording_id: str
    samples: dict[int, np.ndarray]
    fault: str = ""


def recordings_of(manifest: "pd.DataFrame") -> dict[str, Recording]:
    """Return the rows of a manifest by their ids, in its order."""
    # By columns: rows of text, one value at a time, take Arrow six times as long.
    columns = (manifest[name].astype(str).tolist() for name in COLUMNS)
    return {row[0]: Recording(*row) for row in zip(*columns, strict=True)}


class _UnusableError(Exception):
    """Why a recording has no samples."""


def load(recording: Recording, roots: "Roots", rates_hz: Iterable[int]) -> Loaded:
    """Return the samples of ``recording`` at each of ``rates_hz``.

    Whatever one file does to the decoder, it is that recording's fault and raises nothing.

    Raises:
        CageError: the decoder cannot be had as the settings ask for, or was stopped.
    """
    try:
        samples, rate_hz = _decoded(recording, roots)
        return Loaded(recording.recording_id, {rate: resample(samples, rate_hz, rate) for rate in rates_hz})
    except _UnusableError as error:
        return Loaded(recording.recording_id, {}, f"{recording.path} {error}")
    except CageError:
        raise
    except Exception as error:
        LOG.exception("recording %s, %s", recording.recording_id, recording.path)
        return Loaded(recording.recording_id, {}, f"{recording.path} cannot be decoded: {error!r}; the log has more")


def _decoded(recording: Recording, roots: "Roots") -> tuple[np.ndarray, int]:
    """Return a recording's own samples and their rate in Hz; the file is read once, so that no other is decoded."""
    try:
        data = read_regular(roots.locate(recording.root, recording.path))
    except SourceError as error:
        raise _UnusableError(CHANGED) from error
    except OSError as error:
        said = error.strerror or error
        raise _UnusableError(f"cannot be read any more ({said}): take the inventory again") from error
    if sha256_of(data) != recording.recording_id:
        raise _UnusableError(CHANGED)
    try:
        audio = decode_bytes(data)
    except DecodeError as error:
        raise _UnusableError(str(error)) from error
    if samples_digest(audio.samples) != recording.samples_digest:
        raise _UnusableError("is decoded to other samples than the manifest states: materialize the manifest again")
    if not len(audio.samples):
        raise _UnusableError("holds no samples")
    return audio.samples, audio.sample_rate_hz
