"""Audio files that tests make: by soundfile, by libav's encoders, and AMR from a table: not every PyAV can write it."""

import base64
import io
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile

from cry_pipeline_tests.corpus.conftest import tone

AMR_SECOND = base64.b64decode(
    "BIA4H+/rafWOAKnGgAQdPTKruxp1FwTpFTIEPjgyq6u9dRMzrRKEBI09MqbbHlV4ZmmbjASNODWXe3GlnaxQn7YEPj0yp3t5VKzYLQuOBI04Np"
    "a7E2RD0mWFMgQ+PTKre6x0irOtEowEjTg2prsXREBkGkhYBI09Mma7HVXf0Iwy7gQ+ODKme+tU60yTCkIEjT0ypmufNRow9HEGBD44Mquru4Vz"
    "JQ0CiASNPTKmq58FeHE7CUoEjTgypnuflT4QM7y2BD49Mqtr2LSMxE0KngSNODaXuxKkJ5MJDToEPj0yp6t9tI6TpFK+BI04Nqd7clRGEwTtSA"
    "SNPTJne121n70OwrwEPjgyq6u5VKtNEwpCBI09Mmd7XaX7wpWZLgQ+ODKme+tlUy0tAogEjT0yp6udZTosbRYGBI04NZa7E3WfiRKWjAQ+PTKn"
    "a1n0jNBNS4wEjTg2pmvDZCIzBy14BD49Mqu7GKTMqSYirgSNODaqe5XkQG0bCFYEjT0yZ3tetZvJBjKmBD44Mqtr1WSrUxMLQgSNPTJra8x1n5"
    "ElGSoEPjgypnvrdRMzrRKYBI09MqqrnnU8amJBQASNODWnq3GF8XOkUqYEPj0ypmvfROzOjQoEBI04Nqp7UeQiMwcteAQ+PTKm61tE6qRYKuIE"
    "jTg2pnuRVEJTDG1QBI09MmbrXVW/wS8QlgQ+ODKrq7lUq00TCkIEjT0yZqufNZvRNY08BD44MqZ762VzLQ0CiASNPTKnq51lPCx2kAYEjTgym2"
    "vsdRvFBiKqBD49Mqtr2GSq0xMLQgSNODWqa8Hl3BJrFSgEPj0yqmvbJNaNBEImBI04Nqp7keREXBJpTASNPTKna86VPCUI0nA="
)
"""One second of a tone of 440 Hz: 50 frames of AMR-NB at 4.75 kbit/s, 13 bytes each."""
SPEECH = 13
NO_DATA = bytes([0x7C])
SID = bytes([0x44, *bytes(5)])
AMR_MAGIC = b"#!AMR\n"


def wav(samples: np.ndarray, rate_hz: int = 8000, container: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """Samples as a sound file, 16-bit WAV unless told otherwise."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def encoded(container: str, codec: str, samples: np.ndarray, rate_hz: int, **options: str) -> bytes:
    """Samples, ``[samples]`` or ``[samples, channels]``, through one of libav's encoders."""
    with tempfile.TemporaryDirectory() as folder:
        return _encode(Path(folder) / "sound", container, codec, samples, rate_hz, options)


def _encode(file: Path, container: str, codec: str, samples: np.ndarray, rate_hz: int, options: dict) -> bytes:
    layout = "mono" if samples.ndim == 1 else "stereo"
    with av.open(str(file), "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=rate_hz)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        pcm = np.round(samples * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, "s16", layout)
        frame.sample_rate, frame.pts = rate_hz, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return file.read_bytes()


def caf() -> bytes:
    """Three seconds as the iOS app wrote them."""
    return encoded("caf", "adpcm_ima_qt", tone(3.0, rate_hz=16_000), 16_000)


def amr(frames: bytes = AMR_SECOND * 3) -> bytes:
    """Raw AMR, three seconds of a tone unless told otherwise."""
    return AMR_MAGIC + frames


def amr_3gp(frames: bytes = AMR_SECOND * 3) -> bytes:
    """AMR as the Android app wrote it, the index before the samples as in the corpus."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sound"
        options = {"movflags": "+faststart", "use_editlist": "0"}
        with (
            av.open(io.BytesIO(amr(frames)), "r") as raw,
            av.open(str(file), "w", format="3gp", options=options) as out,
        ):
            stream = out.add_stream_from_template(raw.streams.audio[0])
            for packet in raw.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
        return file.read_bytes()


def flac() -> bytes:
    """A lossless file that states its length."""
    return wav(tone(3.0), container="FLAC")


def mp3(**options: str) -> bytes:
    """Three seconds as an MP3, which states its length (in its Xing header) unless told otherwise."""
    return encoded("mp3", "libmp3lame", tone(3.0), 8000, **options)


def aac(seconds: float = 3.0, channels: int = 1) -> bytes:
    """A raw AAC stream, which states no length."""
    sound = tone(seconds, rate_hz=16_000)
    return encoded("adts", "aac", sound if channels == 1 else np.stack([sound] * channels, axis=1), 16_000)


def opus() -> bytes:
    """A voice message as messengers send it."""
    return encoded("ogg", "libopus", tone(3.0, rate_hz=48_000), 48_000)
