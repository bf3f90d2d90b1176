"""Whatever a file says of others, under whatever suffix: it is refused at once, and none of them is opened."""

import base64
import io
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES, DecodeError, decode, decode_bytes
from cry_pipeline_tests.corpus.audio_files import encoded, wav
from cry_pipeline_tests.corpus.conftest import tone

LIMIT_S = 1.0
HLS = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:3\n{}#EXTINF:3.0,\n{}\n#EXT-X-ENDLIST\n"
MPD = (
    '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT3S"><Period><AdaptationSet mimeType="audio/mp4">{}<Representation id="0" '
    'bandwidth="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
SDP = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=x\r\nc=IN IP4 {0}\r\nt=0 0\r\na=control:{1}\r\nm=audio 5004 RTP/AVP 0\r\n"


def texts(file: Path) -> dict[str, str]:
    """Texts that some demuxer of libav takes for a list of other things to open, or for something to be made."""
    name = file.name
    return {
        "ffconcat": f"ffconcat version 1.0\nfile {name}\nduration 3.0\n",
        "ffconcat, absolute": f"ffconcat version 1.0\nfile 'file:{file}'\noption safe 0\n",
        "ffconcat, of itself": "ffconcat version 1.0\n" + "file upload.wav\n" * 9,
        "ffconcat, a pipe": "ffconcat version 1.0\nfile 'pipe:0'\nfile 'fd:0'\n",
        "ffconcat, joined": f"ffconcat version 1.0\nfile 'concat:{file}|{file}'\n",
        "hls": HLS.format("", name),
        "hls, file url": HLS.format("", f"file://{file}"),
        "hls, part of a file": HLS.format("#EXT-X-BYTERANGE:9000@44\n", file),
        "hls, a map": HLS.format(f'#EXT-X-MAP:URI="{file}"\n', name),
        "hls, a key": HLS.format(f'#EXT-X-KEY:METHOD=AES-128,URI="{file}"\n', name),
        "hls, data url": HLS.format("", f"data:audio/wav;base64,{base64.b64encode(wav(tone())).decode()}"),
        "hls, list of lists": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}\n",
        "hls, crypto": HLS.format("", f"crypto:{file}"),
        "dash": MPD.format("", file),
        "dash, template": MPD.format(f'<SegmentTemplate media="{name}" initialization="{file}" duration="1"/>', name),
        "dash, entity": f'<!DOCTYPE MPD [<!ENTITY x SYSTEM "file://{file}">]>' + MPD.format("", "&x;"),
        "smooth streaming": f'<SmoothStreamingMedia><StreamIndex Url="{file}"/></SmoothStreamingMedia>',
        "sdp": SDP.format("127.0.0.1", "rtsp://127.0.0.1:1/x"),
        "rtsp": "RTSP/1.0 200 OK\r\nContent-Base: rtsp://127.0.0.1:1/x\r\n\r\n",
        "rtsp, a playlist": "[playlist]\nFile1=rtsp://127.0.0.1:1/x\nNumberOfEntries=1\n",
        "rtmp": "rtmp://127.0.0.1:1/live/x",
        "asx": f'<asx version="3"><entry><ref href="{file}"/></entry></asx>',
        "ram": f"file://{file}\n",
        "image sequence": "other%03d.wav",
        "image pattern": "other*.wav",
        "subfile": f"subfile,,start,0,end,0,,:{file}",
        "concat": f"concat:{file}|{file}",
        "file": f"file:{file}",
        "lavfi": "sine=frequency=440:duration=3",
        "lavfi, a film": f"amovie={file}",
        "avisynth": f'LoadPlugin("{file}")\nWavSource("{file}")\n',
        "vapoursynth": f"import os\nos.stat('{file}')\n",
        "ffmetadata": f";FFMETADATA1\ntitle={file}\n[STREAM]\nfile={file}\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=3\n",
        "sami": f"<SAMI><HEAD></HEAD><BODY><SYNC Start=0><P><IMG SRC='{file}'></BODY></SAMI>\n",
        "srt": f"1\n00:00:00,000 --> 00:00:03,000\n<img src='{file}'>\n",
        "webvtt": f"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000\n\n00:00.000 --> 00:03.000\n{file}\n",
        "ted captions": '{"captions":[{"duration":3000,"content":"x","startOfParagraph":true,"startTime":0}]}',
        "ass": f"[Script Info]\nAudio File: {file}\n[Events]\nDialogue: 0,0:00:00.00,0:00:03.00,,,0,0,0,,x\n",
        "mpsub": "FORMAT=TIME\n\n0 3\nx\n",
        "jacosub": f"0:00:00.00 0:00:03.00 D {file}\n#INCLUDE {file}\n",
        "vobsub": f"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n# {file}\n",
        "cue": f'FILE "{file}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "imf": f'<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">{file}</CompositionPlaylist>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{file}"/></svg>',
        "html": f"<html><audio src='{file}'></html>",
        "script": "#!/bin/sh\ntouch /tmp/never\n",
    }  # fmt: skip


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content


def elsewhere(reference: bytes) -> bytes:
    """A QuickTime film whose samples are said to lie in another file."""
    film = encoded("mov", "pcm_s16le", tone(), 8000)
    old = film.index(b"dref") - 4
    (size,) = struct.unpack_from(">I", film, old)
    new = _box(b"dref", bytes(4) + (1).to_bytes(4, "big") + reference)
    made = bytearray(film[:old] + new + film[old + size :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = made.rindex(name, 0, old) - 4
        made[place : place + 4] = struct.pack(">I", struct.unpack_from(">I", made, place)[0] + len(new) - size)
    return bytes(made)


def alias(file: Path) -> bytes:
    """A Macintosh alias with an absolute path, as libav reads it."""
    path = os.fsencode(file)
    path += b"\0" * (len(path) % 2)
    body = bytes(4 + 10 + 28 + 12) + bytes([len(file.name)]) + file.name.encode().ljust(63, b"\0") + bytes(16)
    body += struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">HH", 2, len(path)) + path + b"\xff\xff\0\0"
    return _box(b"alis", body)


def films(file: Path) -> dict[str, bytes]:
    """Films that say that their samples, or something beside them, lie in another file."""
    url = f"file://{file}".encode() + b"\0"
    film = _box(b"rmda", _box(b"rdrf", bytes(4) + b"url " + len(url).to_bytes(4, "big") + url))
    return {
        "alias": elsewhere(alias(file)),
        "url": elsewhere(_box(b"url ", bytes(4) + url)),
        "urn": elsewhere(_box(b"urn ", bytes(4) + b"urn:x\0" + url)),
        "rmra": _box(b"ftyp", b"qt  " + bytes(4)) + _box(b"moov", _box(b"rmra", film)),
    }


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another file in the working directory."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "other.wav"
    file.write_bytes(wav(tone()))
    for number in range(3):
        shutil.copy(file, tmp_path / f"other{number:03}.wav")
    return file


@pytest.mark.parametrize("suffix", sorted(AUDIO_SUFFIXES))
def test_a_text_is_refused_at_once_under_every_suffix(suffix: str, other: Path, tmp_path: Path):
    with pytest.raises(DecodeError):
        decode_bytes(b"a decoder is started before the clock is")
    for kind, text in texts(other).items():
        file = tmp_path / f"upload{suffix}"
        file.write_text(text)
        began = time.monotonic()
        with pytest.raises(DecodeError) as error:
            decode(file)
        assert time.monotonic() - began < LIMIT_S, kind
        assert error.value.reason == "undecodable", kind


def test_an_alias_would_be_followed_by_a_libav_that_is_let(other: Path):
    """So that the next test tries what could happen."""
    allowed = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(io.BytesIO(films(other)["alias"]), "r", options=allowed) as film:
        first = next(film.decode(film.streams.audio[0])).to_ndarray().tobytes()
    assert first[:64] in other.read_bytes()


@pytest.mark.parametrize("kind", ["alias", "rmra"])
def test_samples_that_lie_elsewhere_are_not_looked_for(kind: str, other: Path):
    with pytest.raises(DecodeError) as error:
        decode_bytes(films(other)[kind])
    assert error.value.reason in ("undecodable", "not_audio")


@pytest.mark.parametrize("kind", ["url", "urn"])
def test_references_that_libav_does_not_know_change_nothing(kind: str, other: Path):
    own = decode_bytes(encoded("mov", "pcm_s16le", tone(), 8000)).samples
    assert decode_bytes(films(other)[kind]).samples.tobytes() == own.tobytes()


def with_attachment(data: bytes) -> bytes:
    """A Matroska file with an attachment that is called like a path."""
    name, kind, content = b"../../other.wav", b"audio/wav", wav(tone())
    file = b"".join(
        identifier + (0x1000_0000 | len(field)).to_bytes(4, "big") + field
        for identifier, field in (
            (b"\x46\x6e", name),
            (b"\x46\x60", kind),
            (b"\x46\x5c", content),
            (b"\x46\xae", b"\1"),
        )
    )
    attached = b"\x61\xa7" + (0x1000_0000 | len(file)).to_bytes(4, "big") + file
    added = b"\x19\x41\xa4\x69" + (0x1000_0000 | len(attached)).to_bytes(4, "big") + attached
    segment = data.index(b"\x18\x53\x80\x67") + 4
    size = int.from_bytes(data[segment : segment + 8], "big") & (1 << 56) - 1
    head = (1 << 56 | size + len(added)).to_bytes(8, "big")
    return data[:segment] + head + data[segment + 8 :] + added


def test_an_attachment_is_written_nowhere(other: Path, tmp_path: Path):
    before, data = sorted(tmp_path.rglob("*")), encoded("matroska", "flac", tone(), 8000)
    assert decode_bytes(with_attachment(data)).samples.tobytes() == decode_bytes(data).samples.tobytes()
    assert sorted(tmp_path.rglob("*")) == before


DECODE_ALL_TWICE = """
import os, pickle, sys
from cry_pipeline.corpus.decoding import DecodeError, decode_bytes
with open(sys.argv[1], "rb") as file:
    files = pickle.load(file)
for time in range(2):
    os.path.exists(f"/time {time}")
    for data in files:
        try:
            decode_bytes(data)
        except DecodeError:
            pass
os.path.exists("/the end")
"""


@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: which files are opened is not seen"
)
@pytest.mark.parametrize("cage", ["off", "best"])
def test_nothing_is_opened_or_connected_to_as_the_system_sees_it(cage: str, other: Path, tmp_path: Path):
    """The first time modules may be loaded, but none of the files named; the second time there is nothing to open."""
    files = [text.encode() for text in texts(other).values()] + list(films(other).values())
    files.append(with_attachment(encoded("matroska", "flac", tone(), 8000)))
    (tmp_path / "files").write_bytes(pickle.dumps(files))
    seen = tmp_path / "seen"
    traced = ["strace", "-f", "-o", seen, "-e", "trace=%file,%network,memfd_create,pidfd_getfd", "--signal=none"]
    done = subprocess.run(
        [*traced, sys.executable, "-c", DECODE_ALL_TWICE, "files"],
        cwd=tmp_path,
        env={**os.environ, "CRY_PIPELINE_DECODER_CAGE": cage, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip(f"strace may not trace here: {done.stderr}")
    assert not done.returncode, done.stderr
    calls = seen.read_text()
    first, second = calls.partition('"/time 0"')[2].partition('"/time 1"')[::2]
    assert '"/the end"' in second
    assert "other" not in first
    assert "AF_INET" not in calls
    of_its_own = re.compile(r'openat\(AT_FDCWD, "/proc/\d+/statm", O_RDONLY')  # the parent sees how large a decoder is
    second = of_its_own.sub("", second.partition('"/the end"')[0])
    for call in ("open", "connect(", "socket(", "execve(", "memfd_create("):
        assert call not in second, call
