"""A recording of the manifest, by its id, as a WAV that every browser plays.

Belongs here: finding a recording's file, and writing what it decodes to. Does not: decoding (corpus/), nor answering a
browser (app.py).
"""

import hashlib

from cry_pipeline.artefacts import DamagedFileError, read_table
from cry_pipeline.corpus.audio import DecodeError, wav
from cry_pipeline.corpus.decoding import decode_bytes
from cry_pipeline.corpus.download import CorpusError
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.corpus.resolution import recorded_roots
from cry_pipeline.corpus.sources import SourceError
from cry_pipeline.settings import Settings

MEDIA_TYPE = "audio/wav"


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
        root, path = rows[["root", "path"]].iloc[0]
        data = read_regular(recorded_roots(settings).locate(root, path))
        if hashlib.sha256(data).hexdigest() != recording_id:
            raise RecordingError(f"{root}/{path} is not the recording that the manifest lists: run `cry-pipeline run`.")
        audio = decode_bytes(data)
        return wav(audio.samples, audio.sample_rate_hz)
    except (OSError, DamagedFileError, CorpusError, SourceError, DecodeError) as error:
        raise RecordingError(f"Recording {recording_id} cannot be read: {error}") from error
