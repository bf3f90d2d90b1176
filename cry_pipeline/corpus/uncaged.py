"""A file's content → mono samples, in this very process.

Belongs here: who reads what. Does not: the process that this runs in (decoding.py, cage/), what a file states of its
length (containers.py, framing.py), reading plain PCM (pcm.py) and anything else (libav.py), and mixing (mono.py).
"""

from cry_pipeline.corpus.audio import Audio, DecoderMemoryError, check_length, check_shape, check_size
from cry_pipeline.corpus.containers import inspect
from cry_pipeline.corpus.libav import decode_with_libav
from cry_pipeline.corpus.mono import Mono
from cry_pipeline.corpus.pcm import read_pcm


def decode_uncaged(data: bytes) -> Audio:
    """Decode the first audio stream of a file's content; raises as ``decoding.decode_bytes``."""
    check_size(len(data))
    try:
        contents = inspect(data)
        return _plain(contents.data) or decode_with_libav(contents)
    except MemoryError as error:
        raise DecoderMemoryError("needs more memory than there is") from error


def decode_plain(data: bytes) -> Audio | None:
    """Return the audio of a plain PCM WAV, read without any code in C of strangers' formats; None for anything else.

    Raises:
        DecodeError: it is a WAV, and cannot be used.
    """
    check_size(len(data))
    return _plain(inspect(data).data) if data.startswith(b"RIFF") else None


def _plain(data: bytes) -> Audio | None:
    pcm = read_pcm(data)
    if pcm is None:
        return None
    count, channels = pcm.samples.shape
    check_shape(pcm.sample_rate_hz, channels)
    check_length(count, pcm.sample_rate_hz, channels)
    mono = Mono()
    mono.add(pcm.samples.T)
    return Audio(mono.samples(), pcm.sample_rate_hz, pcm.codec, channels)
