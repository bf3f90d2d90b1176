"""Bytes from strangers: whatever they are, they give audio or a reason, and nothing but them is read."""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import MemoryError as LibavMemoryError  # pyright: ignore[reportAttributeAccessIssue]
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.corpus import audio as limits
from cry_pipeline.corpus import libav
from cry_pipeline.corpus.audio import DecoderMemoryError
from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES, Audio, DecodeError, decode, decode_bytes
from cry_pipeline.corpus.reading import TooLargeError
from cry_pipeline.corpus.uncaged import decode_uncaged
from cry_pipeline_tests.corpus.audio_files import AMR_SECOND, aac, amr, amr_3gp, encoded, flac, wav
from cry_pipeline_tests.corpus.conftest import tone

IN_OPEN = 0x20


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another file in the working directory, that nobody opens."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "other.wav"
    file.write_bytes(wav(tone()))
    if not sys.platform.startswith("linux"):
        pytest.skip("whether a file was opened is told by Linux' inotify")
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, os.fsencode(file), IN_OPEN) > 0
    yield file
    try:
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
    finally:
        os.close(watch)


def test_opening_the_other_file_would_be_noticed(other: Path):
    """The watch itself works; what it saw is read here, so that nothing is left of it."""
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, os.fsencode(other.parent), IN_OPEN)
    (other.parent / "third").write_bytes(b"")
    assert os.read(watch, 4096)
    os.close(watch)


def playlists(file: str, url: str) -> dict[str, str]:
    """Texts that libav takes for a list of other things to open, by what they are."""
    segment = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3.0,\n{}\n#EXT-X-ENDLIST\n"
    return {
        "concat": f"ffconcat version 1.0\nfile {file}\nduration 3.0\n",
        "concat of a protocol": f"ffconcat version 1.0\nfile 'subfile,,start,0,end,0,,:{file}'\n",
        "hls": segment.format(file),
        "hls of a protocol": segment.format(f"subfile,,start,44,end,9000,,:{file}"),
        "hls of the network": segment.format(url),
        "hls with a key": segment.format(file).replace("#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF'),
        "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        f'mediaPresentationDuration="PT3S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="0" '
        f'bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n",
        "rtsp": f"[Reference]\r\nRef1={url}\r\n",
        "script": f'LoadPlugin("{file}")\nWavSource("{file}")\n',
        "filter graph": f"amovie={file}",
        "pattern": "other%d.wav",
    }


KINDS = list(playlists("", ""))


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_names_other_files_opens_none(kind: str, other: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for name in (other.name, str(other)):
            text = playlists(name, f"http://127.0.0.1:{server.getsockname()[1]}/other.wav")[kind]
            for suffix in AUDIO_SUFFIXES:
                file = tmp_path / f"upload{suffix}"
                file.write_text(text)
                with pytest.raises(DecodeError) as error:
                    decode(file)
                assert error.value.reason == "undecodable"
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("kind", ["concat", "hls", "hls of the network"])
def test_even_a_demuxer_that_opens_files_could_open_none(kind: str, other: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(libav, "FORMATS", f"{libav.FORMATS},concat,hls")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        text = playlists(other.name, f"http://127.0.0.1:{server.getsockname()[1]}/other.wav")[kind]
        with pytest.raises(DecodeError):
            decode_uncaged(text.encode())
        with pytest.raises(BlockingIOError):
            server.accept()


def test_containers_of_other_suffixes_are_not_opened():
    for container, codec in (("mpegts", "mp2"), ("flv", "adpcm_swf"), ("avi", "pcm_s16le"), ("asf", "libmp3lame")):
        data = encoded(container, codec, tone(rate_hz=44_100), 44_100)
        with pytest.raises(DecodeError, match="is in none of the containers that are read: AAC, AIFF, "):
            decode_bytes(data)


def test_a_codec_that_nobody_knows_is_said():
    data = wav(tone())
    with pytest.raises(DecodeError, match="holds sound of a codec that is not known here"):
        decode_bytes(data[:20] + b"\x34\x12" + data[22:])


@pytest.mark.parametrize("raised", [IndexError("list index"), ValueError("odd"), AssertionError()])
def test_whatever_pyav_raises_is_a_reason(raised: Exception, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise raised

    data = flac()
    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(DecodeError, match="cannot be read by libav: ") as error:
        decode_uncaged(data)
    assert error.value.__cause__ is raised


@pytest.mark.parametrize("raised", [MemoryError(), LibavMemoryError(errno.ENOMEM, "Cannot allocate memory")])
def test_want_of_memory_is_a_reason_of_its_own(raised: Exception, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise raised

    data = flac()
    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(DecoderMemoryError, match="needs more memory than there is"):
        decode_uncaged(data)
    monkeypatch.undo()
    monkeypatch.setattr(libav, "_frames", fail)
    with pytest.raises(DecoderMemoryError, match="needs more memory than there is"):
        decode_uncaged(data)


def stereo(sound: np.ndarray) -> np.ndarray:
    return np.stack([sound, sound / 2], axis=1)


def test_a_stream_that_changes_its_channels_does_not_end_the_process(tmp_path: Path):
    """PyAV's FIFO writes as many channels as it knows of, whatever a frame has."""
    file = tmp_path / "two.aac"
    file.write_bytes(aac(1.0, channels=2) + aac(1.0) + aac(1.0, channels=2))
    script = "from pathlib import Path; from cry_pipeline.corpus.decoding import decode; decode(Path('two.aac'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DecodeError" in done.stderr
    assert "changes its rate, channels or format midway" in done.stderr


def test_a_lossless_stream_that_changes_its_channels_is_refused():
    two, one = wav(stereo(tone(3.0)), container="FLAC"), flac()
    total = int.from_bytes(two[21:26], "big") + 24_000
    both = two[:21] + total.to_bytes(5, "big") + two[26:] + one[one.index(b"\xff\xf8", 42) :]
    with pytest.raises(DecodeError, match="changes its rate, channels or format midway"):
        decode_bytes(both)


def test_a_stream_that_changes_its_rate_is_refused():
    other = encoded("adts", "aac", tone(1.0, rate_hz=22_050), 22_050)
    with pytest.raises(DecodeError, match="changes its rate, channels or format midway"):
        decode_bytes(aac(1.0) + other)


@pytest.mark.parametrize("rate_hz", [1, 10, 25, 3999, 192_001, 2**31 - 1])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_rate_that_no_recording_has_is_refused(rate_hz: int, subtype: str):
    data = wav(tone(), subtype=subtype)
    width = 2 if subtype == "PCM_16" else 3
    rates = rate_hz.to_bytes(4, "little") + (rate_hz * width % 2**32).to_bytes(4, "little")
    with pytest.raises(DecodeError, match=f"states {rate_hz} samples per second; 4000 to 192000 are read"):
        decode_bytes(data[:24] + rates + data[32:])


@pytest.mark.parametrize("rate_hz", [4000, 192_000])
def test_the_outermost_rates_are_read(rate_hz: int):
    assert decode_bytes(wav(tone(), rate_hz)).sample_rate_hz == rate_hz


def test_nine_channels_are_no_recording():
    sound = np.random.default_rng(0).uniform(-1, 1, (500, 9))
    assert decode_bytes(wav(sound[:, :8])).channels == 8
    with pytest.raises(DecodeError, match="states 9 channels; 1 to 8 are read"):
        decode_bytes(wav(sound))


def test_a_small_file_of_enormous_sound_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    data = wav(np.zeros((1000, 8)), 192_000, container="FLAC")
    total = int.from_bytes(data[21:26], "big") - 1000 + 599 * 192_000
    monkeypatch.setattr(libav, "_decode", pytest.fail)
    with pytest.raises(DecodeError, match=r"has 920 million values \(8 channels of 599 s at 192000 Hz\)"):
        decode_uncaged(data[:21] + total.to_bytes(5, "big") + data[26:])


@pytest.mark.parametrize("make", [lambda: wav(stereo(tone(3.0))), lambda: aac(3.0, channels=2)], ids=["wav", "aac"])
def test_enormous_sound_that_is_not_stated_is_refused_while_it_is_decoded(make, monkeypatch: pytest.MonkeyPatch):
    data = make()
    monkeypatch.setattr(limits, "MAX_VALUES", 2 * 24_000 - 1)
    with pytest.raises(DecodeError, match="million values"):
        decode_uncaged(data)


def test_a_file_larger_than_any_recording_is_not_read(tmp_path: Path):
    file = tmp_path / "sparse.wav"
    file.write_bytes(wav(tone()))
    os.truncate(file, 2**33)
    with pytest.raises(TooLargeError, match=r"sparse\.wav has more than 200000000 bytes"):
        decode(file)


def test_more_bytes_than_any_recording_has_are_not_looked_at(monkeypatch: pytest.MonkeyPatch):
    data = wav(tone())
    monkeypatch.setattr(limits, "MAX_BYTES", len(data) - 1)
    with pytest.raises(DecodeError, match="has 0 MB, and no recording has more than 0 MB"):
        decode_bytes(data)


MAKERS: dict[str, Callable[[], bytes]] = {
    "wav": lambda: wav(tone(0.2)),
    "wav, 24 bits": lambda: wav(stereo(tone(0.2)), subtype="PCM_24"),
    "wav, floats": lambda: wav(tone(0.2), subtype="FLOAT"),
    "wav, adpcm": lambda: wav(tone(0.2), subtype="IMA_ADPCM"),
    "rf64": lambda: wav(tone(0.2), container="RF64"),
    "aiff": lambda: wav(stereo(tone(0.2)), container="AIFF"),
    "caf, alac": lambda: wav(tone(0.2), container="CAF", subtype="ALAC_16"),
    "caf, adpcm": lambda: encoded("caf", "adpcm_ima_qt", tone(0.2), 8000),
    "flac": lambda: wav(stereo(tone(0.2)), container="FLAC"),
    "vorbis": lambda: wav(tone(0.2), 8000, "OGG", "VORBIS"),
    "opus": lambda: encoded("ogg", "libopus", tone(0.2, rate_hz=48_000), 48_000),
    "mp3": lambda: encoded("mp3", "libmp3lame", tone(0.2), 8000),
    "aac": lambda: aac(0.3),
    "aac, stereo": lambda: aac(0.3, channels=2),
    "amr": lambda: amr(AMR_SECOND[:260]),
    "3gp": lambda: amr_3gp(AMR_SECOND[:260]),
    "m4a": lambda: encoded("ipod", "aac", tone(0.2), 8000),
    "mp4 in fragments": lambda: encoded("mp4", "aac", tone(0.2), 8000, movflags="frag_keyframe+empty_moov"),
    "mov": lambda: encoded("mov", "pcm_s16le", tone(0.2), 8000),
    "mkv": lambda: encoded("matroska", "flac", tone(0.2), 8000),
    "webm": lambda: encoded("webm", "libopus", tone(0.2, rate_hz=48_000), 48_000),
    "nothing": lambda: b"",
    "tag": lambda: b"ID3\x03\0\0\0\0\0\x0a" + bytes(10),
}


@cache
def sound_file(kind: str) -> bytes:
    """One of :data:`MAKERS`' files, made once."""
    return MAKERS[kind]()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file, or two, with bytes changed, cut out and moved; most often in what comes first, which says the most."""
    data = bytearray(sound_file(draw(st.sampled_from(list(MAKERS)))))
    if draw(st.booleans()):
        data += sound_file(draw(st.sampled_from(list(MAKERS))))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)) | st.integers(0, min(len(data), 200)))
        end = start + draw(st.sampled_from([1, 1, 2, 4, 8, 500]))
        deed = draw(st.sampled_from(["change", "change", "extreme", "cut", "end", "repeat"]))
        if deed == "end":
            del data[start:]
        elif deed == "repeat":
            data[start:start] = data[start:end]
        elif deed == "cut":
            del data[start:end]
        else:
            size = min(end, len(data)) - start
            data[start:end] = draw(
                st.binary(min_size=size, max_size=size)
                if deed == "change"
                else st.sampled_from([bytes(size), b"\xff" * size, b"\x7f" * size])
            )
    return bytes(data)


@settings(max_examples=200, deadline=None)
@given(data=damaged())
def test_damaged_files_give_audio_or_a_reason_and_nothing_else(data: bytes):
    try:
        audio = decode_bytes(data)
    except DecodeError:
        return
    assert isinstance(audio, Audio)
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert audio.samples.size
    assert np.abs(audio.samples).max() <= 1.0  # no NaN either
    assert limits.MIN_RATE_HZ <= audio.sample_rate_hz <= limits.MAX_RATE_HZ
    assert 1 <= audio.channels <= limits.MAX_CHANNELS


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in ("nothing", "tag")])
def test_files_that_are_damaged_in_these_tests_are_sound_before(kind: str):
    assert decode_bytes(sound_file(kind)).samples.size > 1500
