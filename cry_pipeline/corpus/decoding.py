"""An audio file → mono samples, whole or not at all.

Belongs here: reading containers and codecs, noticing a missing end, resampling. Does not: judging what is
heard (quality.py), which files to read (sources.py), and the layout of a plain WAV, which needs no libav (pcm.py).

A stream that yields another number of samples than it states is refused. The tolerance is one decoder frame
for lossy codecs, which pad the last frame and prime the first, and none for lossless ones. On the 1,345 files
of the corpus the difference is 0 but for 16 of the .3gp, where it is one AMR frame (160 samples, 20 ms) more.
Containers that state no length (Ogg, raw AMR or AAC) are held against libav's estimate.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from cry_pipeline.corpus.pcm import read_pcm

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

MAX_DURATION_S = 600.0
TOO_LONG = "is longer than {:.0f} s, which no donated cry is"
NO_LENGTH = "states no duration, so that a missing end could not be noticed: remux or convert it"
AUDIO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".aac", ".aif", ".aiff", ".amr", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov"}
    | {".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"}
)


class _Chunked(NamedTuple):
    """A container of chunks, each a type of 4 bytes, its size, its content."""

    magic: bytes
    first: int
    size_bytes: int
    byte_order: Literal["little", "big"]
    samples: bytes
    padded: bool


CHUNKED = (
    _Chunked(b"RIFF", 12, 4, "little", b"data", padded=True),
    _Chunked(b"FORM", 12, 4, "big", b"SSND", padded=True),
    _Chunked(b"caff", 8, 8, "big", b"data", padded=False),
)
"""WAV, AIFF and CAF."""


class DecodeError(ValueError):
    """A file cannot be used as audio; the message says why. ``reason`` is the word that the quarantine uses."""

    reason: ClassVar[str] = "undecodable"


class NotAudioError(DecodeError):
    """A file can be opened but holds no sound."""

    reason = "not_audio"


class TruncatedError(DecodeError):
    """A stream yields another number of samples than it states."""

    reason = "truncated"


@dataclass(frozen=True)
class Audio:
    """Decoded audio: float32 mono ``samples`` ``[samples]`` in [-1, 1], the mean of the file's ``channels``."""

    samples: np.ndarray
    sample_rate_hz: int
    codec: str
    channels: int


def decode(path: Path) -> Audio:
    """Decode the first audio stream of the file at ``path``; see :func:`decode_bytes`.

    Raises:
        DecodeError: as :func:`decode_bytes`, with the path.
        OSError: the file cannot be read.
    """
    try:
        return decode_bytes(path.read_bytes())
    except DecodeError as error:
        raise type(error)(f"{path} {error}") from error


def decode_bytes(data: bytes) -> Audio:
    """Decode the first audio stream of a file's content. Only the content counts, not the file's name.

    Lossy codecs overshoot full scale (AMR up to 2.8 in the corpus); like their reference decoders, this clips.

    Raises:
        NotAudioError: there is no audio stream.
        TruncatedError: the stream yields another number of samples than it states.
        DecodeError: libav cannot read it, it states no duration, it is longer than :data:`MAX_DURATION_S`, or
            its samples are not numbers.
    """
    _check_stated_bytes(data)
    return _plain(data) or _by_libav(data)


def _plain(data: bytes) -> Audio | None:
    """Return the audio of a plain PCM WAV, equal to :func:`_by_libav`'s; None for anything else."""
    pcm = read_pcm(data)
    if pcm is None:
        return None
    if len(pcm.samples) > MAX_DURATION_S * pcm.sample_rate_hz:
        raise DecodeError(TOO_LONG.format(MAX_DURATION_S))
    return _finished(_scaled(pcm.samples.T), pcm.sample_rate_hz, pcm.codec, pcm.samples.shape[1])


def _by_libav(data: bytes) -> Audio:
    import av
    from av.error import FFmpegError

    try:
        with av.open(io.BytesIO(data), "r", options=_probing(data), **_tags_of_any_encoding()) as container:
            if not container.streams.audio:
                raise NotAudioError("holds no audio stream")
            pcm = _decode_stream(container)
            codec = container.streams.audio[0].codec_context.name
    except FFmpegError as error:
        raise DecodeError(f"cannot be read by libav: {error.strerror}") from error
    return _finished(_to_mono(pcm), pcm.sample_rate, codec, pcm.layout.nb_channels)


def _finished(samples: np.ndarray, rate_hz: int, codec: str, channels: int) -> Audio:
    """Return mono ``samples`` as audio, once they are known to be numbers, clipped at full scale."""
    if not np.isfinite(samples).all():
        raise DecodeError("holds samples that are not finite numbers")
    return Audio(np.clip(samples, -1.0, 1.0), rate_hz, codec, channels)


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample float32 ``[samples]`` with soxr's HQ recipe; the same array where the rates are equal."""
    if from_hz == to_hz:
        return samples
    import soxr

    return soxr.resample(samples, from_hz, to_hz, quality="HQ")


def load_samples(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Decode the file at ``path`` and resample it: float32 mono ``[samples]`` at ``sample_rate_hz``.

    Decoded samples lie in [-1, 1]; resampling may overshoot that slightly.

    Raises:
        DecodeError, OSError: as :func:`decode`.
    """
    audio = decode(path)
    return resample(audio.samples, audio.sample_rate_hz, sample_rate_hz)


def _probing(data: bytes) -> dict[str, str]:
    """Return libav's options for a file: a WAV's header says all, so that 4 KiB do, where by default libav reads
    ahead for 1.5 ms of the 2 ms that a cleaned recording takes."""
    return {"probesize": "4096"} if data.startswith(b"RIFF") else {}


def _tags_of_any_encoding() -> dict[str, Any]:
    """Return the argument that keeps PyAV before 19 from raising for a tag that is not UTF-8; later ones never do."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _decode_stream(container: "InputContainer") -> "av.AudioFrame":
    """Return all samples of the first audio stream as one frame, having checked their number."""
    import av
    from av.error import FFmpegError

    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        stated_s = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        stated_s = container.duration / av.time_base
    else:
        raise DecodeError(NO_LENGTH)
    fifo, frame_samples, broken = av.AudioFifo(), 0, ""
    try:
        for frame in container.decode(stream):
            frame.pts = None  # gaps in timestamps do not matter here, and the FIFO would refuse them
            fifo.write(frame)
            frame_samples = max(frame_samples, frame.samples)
            if fifo.samples > MAX_DURATION_S * frame.sample_rate:
                raise DecodeError(TOO_LONG.format(MAX_DURATION_S))
    except FFmpegError as error:
        if not fifo.samples:
            raise
        broken = f" ({error.strerror})"
    except ValueError as error:
        raise error if isinstance(error, DecodeError) else DecodeError(f"changes its format midway: {error}") from error
    pcm = fifo.read()
    if pcm is None:
        raise TruncatedError(f"states {stated_s:.3f} s and yields no sample")
    stated = round(stated_s * pcm.sample_rate)
    tolerance = 0 if stream.codec_context.codec.lossless else frame_samples
    if abs(pcm.samples - stated) > tolerance:
        raise TruncatedError(f"states {stated} samples and yields {pcm.samples}{broken}; ask for the file again")
    return pcm


def _check_stated_bytes(data: bytes) -> None:
    """Hold a file against the size of samples in its own header, where libav silently trusts the file's size."""
    form = next((form for form in CHUNKED if data.startswith(form.magic)), None)
    if form is None:
        return
    position, head = form.first, 4 + form.size_bytes
    while position + head <= len(data):
        field = data[position + 4 : position + head]
        size, present = int.from_bytes(field, form.byte_order), len(data) - position - head
        if data.startswith(form.samples, position):
            if field == b"\xff" * form.size_bytes:
                raise DecodeError(NO_LENGTH)
            if present < size:
                raise TruncatedError(f"states {size} bytes of samples and holds {present}; ask for the file again")
            return
        position += head + size + (size % 2 if form.padded else 0)


def _to_mono(frame: "av.AudioFrame") -> np.ndarray:
    """Return float32 ``[samples]``, full scale is 1: the mean of the channels."""
    pcm = frame.to_ndarray()
    if frame.format.is_packed:
        pcm = pcm.reshape(-1, frame.layout.nb_channels).T
    return _scaled(pcm)


def _scaled(pcm: np.ndarray) -> np.ndarray:
    """Return the mean over the channels of samples as they are stored, ``[channels, samples]``, over full scale."""
    if len(pcm) == 1 and pcm.dtype == np.int16:  # exact, and a tenth of the time
        return pcm[0].astype(np.float32) / np.float32(2**15)
    mono = pcm.mean(axis=0, dtype=np.float64)
    if pcm.dtype == np.uint8:
        mono = (mono - 128) / 128
    elif pcm.dtype.kind == "i":
        mono /= 2.0 ** (8 * pcm.dtype.itemsize - 1)
    return mono.astype(np.float32)
