"""Audio files in the formats of the corpus: the same bytes for the same samples.

Belongs here: how samples become a file. Does not: what is in the samples (voices.py), and reading audio
(decoding.py).
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

if TYPE_CHECKING:
    from av.audio import AudioStream

LOG = logging.getLogger("cry_pipeline")


class EncodingError(RuntimeError):
    """The installed libav cannot write a format; the message says which and what to do."""


@dataclass(frozen=True)
class Format:
    """An audio file format of one channel. A recording is a multiple of ``block_samples``, so that no codec pads."""

    suffix: str
    container: str
    codec: str
    sample_rate_hz: int
    block_samples: int = 1
    bit_rate: int | None = None
    options: tuple[tuple[str, str], ...] = ()

    def samples(self, duration_s: float) -> int:
        """Return the samples of a recording of about ``duration_s``: whole blocks, one at least."""
        return max(round(duration_s * self.sample_rate_hz / self.block_samples), 1) * self.block_samples


MP4 = (("use_editlist", "0"), ("movflags", "+faststart"))
WAV = Format(".wav", "wav", "pcm_s16le", 8000)
UPLOADS = {
    "android": (
        Format(".3gp", "3gp", "libopencore_amrnb", 8000, block_samples=160, bit_rate=12_200, options=MP4),
        Format(".m4a", "ipod", "aac", 8000, block_samples=1024, bit_rate=24_000),
        WAV,
    ),
    "ios": (Format(".caf", "caf", "adpcm_ima_qt", 16_000, block_samples=64),),
}
"""What the platforms' apps sent; for Android followed by what stands in where libav has no AMR-NB encoder."""


def upload_format(platform: Literal["android", "ios"]) -> Format:
    """Return the first of a platform's :data:`UPLOADS` that the installed libav can write; log it if not the first.

    Raises:
        EncodingError: it can write none of them.
    """
    formats = UPLOADS[platform]
    usable = next((candidate for candidate in formats if _can_encode(candidate.codec)), None)
    if usable is None:
        codecs = ", ".join(candidate.codec for candidate in formats)
        raise EncodingError(f"the libav of the installed PyAV can encode none of {codecs}: install PyAV's own wheel")
    if usable is not formats[0]:
        LOG.warning("libav has no %s encoder: %s uploads are written as %s", formats[0].codec, platform, usable.suffix)
    return usable


def write_audio(path: Path, samples: np.ndarray, audio: Format) -> None:
    """Write float32 ``samples`` ``[samples]`` in [-1, 1] to ``path``; nothing of the clock or the machine goes in.

    Raises:
        ValueError: the number of samples is not a multiple of the format's ``block_samples``.
    """
    import av
    from av.codec.context import Flags

    if samples.size % audio.block_samples:
        raise ValueError(f"{path.name}: {samples.size} samples are not a multiple of {audio.block_samples}")
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)[None]
    with av.open(
        str(path), "w", format=audio.container, options={"fflags": "+bitexact", **dict(audio.options)}
    ) as container:
        stream = cast("AudioStream", container.add_stream(audio.codec, rate=audio.sample_rate_hz, layout="mono"))
        stream.codec_context.flags |= Flags.bitexact
        if audio.bit_rate:
            stream.bit_rate = audio.bit_rate
        stream.codec_context.open()
        step = stream.codec_context.frame_size or pcm.shape[1]
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=audio.sample_rate_hz)
        for start in range(0, pcm.shape[1], step):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm[:, start : start + step]), "s16", "mono")
            frame.sample_rate, frame.pts = audio.sample_rate_hz, start
            for converted in resampler.resample(frame):
                container.mux(stream.encode(converted))
        container.mux([packet for packet in stream.encode(None) if (packet.duration or 0) >= audio.block_samples])


def _can_encode(codec: str) -> bool:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        return Codec(codec, "w").is_encoder
    except UnknownCodecError:
        return False
