"""A recording of the manifest, by its id, as a WAV that every browser plays.

Belongs here: finding a recording's file, and writing what it decodes to. Does not: decoding (corpus/), nor answering a
browser (app.py).
"""

import hashlib
import io
import wave

import numpy as np

from cry_pipeline.artefacts import DamagedFileError, read_table
from cry_pipeline.corpus.audio import Audio, DecodeError
from cry_pipeline.corpus.decoding import decode_bytes
from cry_pipeline.corpus.download import CorpusError
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.corpus.resolution import read_resolution
from cry_pipeline.corpus.sources import Roots, SourceError
from cry_pipeline.settings import Settings

MEDIA_TYPE = "audio/wav"
FULL_SCALE = 2**15


class RecordingError(LookupError):
    """A recording cannot be played; the message says why."""


def recording_wav(recording_id: str, settings: Settings) -> bytes:
    """Return a recording as the pipeline hears it: a WAV of 16 bits, one channel, at the file's own rate.

    Only what the manifest lists is read, and only if its bytes still have the sha256 ``recording_id``, whatever lies at
    its path by now.

    Raises:
        RecordingError: the manifest does not list it; or its file is gone, is another one, or cannot be decoded.
    """
    try:
        manifest = read_table(settings.manifests / "recordings.parquet")
        rows = manifest[manifest["recording_id"] == recording_id]
        if rows.empty:
            raise RecordingError(f"The manifest lists no recording {recording_id}.")
        roots = Roots(read_resolution(settings.manifests).path, settings.inbox)
        root, path = rows[["root", "path"]].iloc[0]
        data = read_regular(roots.locate(root, path))
        if hashlib.sha256(data).hexdigest() != recording_id:
            raise RecordingError(f"{root}/{path} is not the recording that the manifest lists: run `cry-pipeline run`.")
        return wav(decode_bytes(data))
    except (OSError, DamagedFileError, CorpusError, SourceError, DecodeError) as error:
        raise RecordingError(f"Recording {recording_id} cannot be read: {error}") from error


def wav(audio: Audio) -> bytes:
    """Return mono float32 samples in [-1, 1] as a WAV of 16 bits; samples that had 16 bits stay as they were."""
    samples = np.clip(np.rint(audio.samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.sample_rate_hz)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
