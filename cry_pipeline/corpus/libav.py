"""A file's content → mono samples, by libav (through PyAV).

Belongs here: opening untrusted bytes, and decoding the first audio stream of them whole. Does not: what the file itself
says of its length (containers.py), and mixing channels (mono.py).

libav's playlists name other files and its network formats open sockets: formats and protocols are by allow-list. AMR is
fed frame by frame: libav's decoders know no pauses, and from 9.0 on (PyAV 19) it drops the whole of a last packet that
lasts longer than its frames, as in seven uploads of the corpus.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cry_pipeline.corpus.amr import AMR, Amr, amr_frames
from cry_pipeline.corpus.audio import (
    ASK_AGAIN,
    NO_LENGTH,
    Audio,
    DecodeError,
    NotAudioError,
    TruncatedError,
    check_length,
    check_shape,
)
from cry_pipeline.corpus.framing import Contents
from cry_pipeline.corpus.mono import PIECE, Mono

if TYPE_CHECKING:
    import av
    from av.audio import AudioStream
    from av.container import InputContainer

FORMATS = "aac,aiff,amr,caf,flac,matroska,mov,mp3,ogg,wav"
CONTAINERS = "AAC, AIFF, AMR, CAF, FLAC, Matroska, MP3, MP4, Ogg, QuickTime and WAV"


def decode_with_libav(contents: Contents) -> Audio:
    """Decode the first audio stream of ``contents``.

    Raises:
        DecodeError: as ``decoding.decode_bytes``, whatever libav or PyAV raise.
        MemoryError: there is not enough of it.
    """
    import av
    from av.error import ArgumentError

    options = {"format_whitelist": FORMATS, "protocol_whitelist": "", **_probing(contents.data)}
    try:
        with av.open(io.BytesIO(contents.data), "r", options=options, **_tags_of_any_encoding()) as container:
            return _decode_first(container, contents)
    except (DecodeError, MemoryError):
        raise
    except ArgumentError as error:
        raise DecodeError(f"is in none of the containers that are read: {CONTAINERS}") from error
    except Exception as error:  # PyAV raises whatever befits: IndexError, AssertionError, … of a damaged file
        raise DecodeError(f"cannot be read by libav: {_words(error)}") from error


def _probing(data: bytes) -> dict[str, str]:
    """Return libav's options for a file: a WAV's header says all, so that 4 KiB do, where by default libav reads
    ahead for 1.5 ms of the 2 ms that a cleaned recording takes."""
    return {"probesize": "4096"} if data.startswith(b"RIFF") else {}


def _tags_of_any_encoding() -> dict[str, Any]:
    """Return the argument that keeps PyAV before 19 from raising for a tag that is not UTF-8; later ones never do."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or f"{type(error).__name__} {error}".strip()


def _decode_first(container: "InputContainer", contents: Contents) -> Audio:
    if not container.streams.audio:
        raise NotAudioError("holds no audio stream")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None:  # whatever PyAV's types say
        raise DecodeError("holds sound of a codec that is not known here: convert it, for example to WAV")
    context.thread_count = 1  # others would be started in the cage, which has none
    stated = _stated(container, stream, contents)
    if context.sample_rate:
        check_shape(context.sample_rate, context.channels)
        check_length(stated.seconds * context.sample_rate if stated else 0, context.sample_rate, context.channels)
    decoded = _decode(_frames(container, stream))
    lossless = context.codec.lossless
    if contents.window:
        priming, valid = contents.window
        decoded.samples = decoded.samples[priming : priming + valid]
        lossless = True
    if stated or decoded.broken:
        _check_count(decoded, stated, lossless, contents.whole)
    return Audio(decoded.samples, decoded.rate_hz, context.name, decoded.channels)


class _Stated(NamedTuple):
    """How long a stream is said to be, and the unit in which that is said."""

    seconds: float
    unit_s: float


def _stated(container: "InputContainer", stream: "AudioStream", contents: Contents) -> _Stated | None:
    """Return what the file states of the sound's length; None where it need not, or libav only guesses."""
    import av

    if contents.window:
        return _Stated(contents.window[1] / stream.codec_context.sample_rate, 0.0)
    if not contents.counted:
        return None
    unit_s = float(stream.time_base or 0)
    if stream.duration is not None:
        return _Stated(stream.duration * unit_s, unit_s)
    alone = len(container.streams.audio) + len(container.streams.video) == 1
    if container.duration is not None and alone:  # of several streams it is the longest one's
        return _Stated(container.duration / av.time_base, unit_s)
    raise DecodeError(NO_LENGTH)


@dataclass
class _Decoded:
    """Mono ``samples`` as far as they could be decoded, and why no further."""

    samples: np.ndarray
    rate_hz: int
    channels: int
    frame_samples: int
    broken: str


def _decode(frames: Iterator["av.AudioFrame"]) -> _Decoded:
    """Mix all frames, which have to be of one format; in pieces, so that a long file needs little memory."""
    import av
    from av.error import FFmpegError

    fifo, mono, first, total, longest, broken = av.AudioFifo(), Mono(), None, 0, 0, ""
    try:
        for frame in frames:
            shape = (frame.sample_rate, frame.layout.nb_channels, frame.layout.name, frame.format.name)
            if shape != first:  # the FIFO does not look at channels that it has not got, and crashes
                if first is not None:
                    raise DecodeError("changes its rate, channels or format midway")
                first = shape
                check_shape(*shape[:2])
            total, longest = total + frame.samples, max(longest, frame.samples)
            check_length(total, *shape[:2])
            frame.pts = None  # gaps in timestamps do not matter here, and the FIFO would refuse them
            fifo.write(frame)
            if fifo.samples >= PIECE:
                _mix(fifo, mono)
    except FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        broken = _words(error)
    if first is None or not total:
        raise DecodeError(f"yields no sample{_because(broken)}")
    _mix(fifo, mono)
    return _Decoded(mono.samples(), *first[:2], longest, broken)


def _mix(fifo: "av.AudioFifo", mono: Mono) -> None:
    frame = fifo.read()
    if frame is not None:
        pcm = frame.to_ndarray()
        mono.add(pcm.reshape(-1, frame.layout.nb_channels).T if frame.format.is_packed else pcm)


def _because(broken: str) -> str:
    return f" ({broken})" if broken else ""


def _check_count(decoded: _Decoded, stated: _Stated | None, lossless: bool, whole: bool) -> None:
    """Raise where a decoder yields other than what the file states, or breaks off and nothing says how far it is."""
    count = decoded.samples.size
    if stated is None:
        raise DecodeError(f"can be decoded no further than {count} samples{_because(decoded.broken)}")
    unit = stated.unit_s * decoded.rate_hz
    tolerance = (0 if lossless else decoded.frame_samples) + (math.ceil(unit) if unit > 1 else 0)
    expected = round(stated.seconds * decoded.rate_hz)
    if abs(count - expected) <= tolerance:
        return
    difference = f"states {expected} samples and yields {count}{_because(decoded.broken)}"
    if count > expected:
        raise DecodeError(f"{difference}: it is more than one recording, or its header is wrong")
    if not whole:
        raise TruncatedError(f"{difference}; {ASK_AGAIN}")
    raise DecodeError(f"{difference}: it is damaged, or its header is wrong")


def _frames(container: "InputContainer", stream: "AudioStream") -> Iterator["av.AudioFrame"]:
    amr = AMR.get(stream.codec_context.name)
    if amr is None:
        yield from container.decode(stream)
        return
    silence = _silence(stream, amr)
    for packet in container.demux(stream):
        yield from _amr_frames(bytes(packet), stream, amr, silence)


def _amr_frames(data: bytes, stream: "AudioStream", amr: Amr, silence: "av.AudioFrame") -> Iterator["av.AudioFrame"]:
    import av

    for start, end, pause in amr_frames(data, amr):
        if pause:
            yield silence
        else:
            yield from stream.codec_context.decode(av.Packet(data[start:end]))


def _silence(stream: "AudioStream", amr: Amr) -> "av.AudioFrame":
    import av

    context = stream.codec_context
    frame = av.AudioFrame.from_ndarray(np.zeros((1, amr.samples), np.float32), context.format.name, "mono")
    frame.sample_rate = context.sample_rate
    return frame
