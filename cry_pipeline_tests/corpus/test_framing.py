"""Streams of frames or pages: a guess of their length is no reason to refuse them, half a frame is."""

import io

import numpy as np
import pytest
import soundfile

from cry_pipeline.corpus import containers, framing
from cry_pipeline.corpus.containers import inspect
from cry_pipeline.corpus.decoding import DecodeError, TruncatedError, decode_bytes
from cry_pipeline.corpus.framing import Contents
from cry_pipeline_tests.corpus.audio_files import (
    AMR_SECOND,
    NO_DATA,
    SID,
    aac,
    amr,
    amr_3gp,
    encoded,
    mp3,
    opus,
    wav,
)
from cry_pipeline_tests.corpus.conftest import tone


def loud_after_silence() -> np.ndarray:
    """Five seconds, the first two silent: a rate of bits that says nothing of the length."""
    return np.concatenate([np.zeros(88_200, np.float32), tone(3.0, rate_hz=44_100)])


def test_a_raw_aac_stream_is_as_long_as_its_frames():
    assert decode_bytes(aac(5.0)).samples.size == 81_920  # ffmpeg's number; libav's guess is 80,646


def test_an_mp3_of_varying_bit_rate_without_a_header_is_as_long_as_its_frames():
    data = encoded("mp3", "libmp3lame", loud_after_silence(), 44_100, write_xing="0")
    assert decode_bytes(data).samples.size == 222_336  # 193 frames of 1,152


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_every_frame_of_an_mp3_is_found(rate_hz: int):
    data = encoded("mp3", "libmp3lame", tone(1.0, rate_hz=rate_hz), rate_hz, write_xing="0")
    assert decode_bytes(data).samples.size >= rate_hz
    with pytest.raises(TruncatedError, match="ends 1 bytes before its last frame does"):
        decode_bytes(data[:-1])


@pytest.mark.parametrize(
    "make", [aac, amr, mp3, lambda: mp3(write_xing="0")], ids=["aac", "amr", "mp3", "mp3 without a header"]
)
def test_half_a_frame_is_missing_bytes(make):
    with pytest.raises(TruncatedError, match=r"ends \d+ bytes before its last frame does; ask for the file again"):
        decode_bytes(make()[:-7])


@pytest.mark.parametrize(
    "tag",
    [b"TAG" + bytes(125), b"APETAGEX\xd0\x07\0\0\x20\0\0\0" + bytes(48), bytes(500), bytes(500) + b"\xff\xfbx" * 9],
)
@pytest.mark.parametrize("make", [aac, mp3, lambda: mp3(write_xing="0")], ids=["aac", "mp3", "mp3 without a header"])
def test_what_follows_the_frames_is_no_half_frame(make, tag: bytes):
    data = make()
    np.testing.assert_array_equal(decode_bytes(data + tag).samples, decode_bytes(data).samples)


@pytest.mark.parametrize("make", [amr, amr_3gp], ids=["amr", "3gp"])
def test_the_pauses_of_a_telephone_are_silent(make):
    pause = SID + NO_DATA * 99
    samples = decode_bytes(make(AMR_SECOND + pause + AMR_SECOND * 3)).samples
    assert samples.size == 48_000
    np.testing.assert_array_equal(samples[8000:24_000], 0)
    np.testing.assert_array_equal(samples[:8000], decode_bytes(make(AMR_SECOND)).samples)
    spectrum = np.abs(np.fft.rfft(samples[24_000:]))
    assert spectrum.argmax() / 3 == pytest.approx(440, abs=1)


def test_wide_band_speech_has_pauses_too():
    speech = bytes([0x14]) + np.random.default_rng(0).bytes(32)  # 12.65 kbit/s
    pause = bytes([0x4C]) + bytes(5) + bytes([0x7C]) * 19
    audio = decode_bytes(b"#!AMR-WB\n" + speech * 50 + pause + speech * 50)
    assert (audio.codec, audio.sample_rate_hz, audio.samples.size) == ("amrwb", 16_000, 120 * 320)
    np.testing.assert_array_equal(audio.samples[50 * 320 : 70 * 320], 0)


def test_two_amr_files_strung_together_are_not_read_as_one():
    with pytest.raises(DecodeError, match="holds a second recording at byte 1956"):
        decode_bytes(amr() * 2)


OGG = {
    "opus": opus,
    "opus of libsndfile": lambda: wav(tone(3.0, rate_hz=48_000), 48_000, "OGG", "OPUS"),
    "vorbis": lambda: wav(tone(3.0, rate_hz=44_100), 44_100, "OGG", "VORBIS"),
    "flac": lambda: encoded("ogg", "flac", tone(3.0), 8000),
}


def pages(data: bytes) -> list[bytes]:
    """The pages of an Ogg file."""
    return [b"OggS" + page for page in data.split(b"OggS")[1:]]


@pytest.mark.parametrize("kind", OGG)
def test_an_ogg_file_without_its_last_page_is_truncated(kind: str):
    data = OGG[kind]()
    decode_bytes(data)
    whole = pages(data)
    assert len(whole) > 3
    for cut in (data[: len(data) // 2], data[: len(data) * 8 // 10], data[:-1], b"".join(whole[:-1])):
        with pytest.raises(TruncatedError, match=r"no end-of-stream flag.*ask for the file again"):
            decode_bytes(cut)
    with pytest.raises(TruncatedError, match=r"lacks pages 2 to 2 of its sound"):
        decode_bytes(b"".join(whole[:2] + whole[3:]))


def test_the_end_of_another_stream_is_not_the_end_of_the_sound():
    """Pages of two streams take turns; only the other one's last page is there."""
    sound, other = pages(opus()), pages(OGG["flac"]())
    renamed = [page[:14] + b"\1\2\3\4" + page[18:] for page in other]
    with pytest.raises(TruncatedError, match="no end-of-stream flag"):
        decode_bytes(b"".join([sound[0], renamed[0], *sound[1:-1], *renamed[1:]]))


@pytest.mark.parametrize("kind", OGG)
def test_a_chain_of_recordings_is_not_read_as_its_first(kind: str):
    data = OGG[kind]()
    with pytest.raises(DecodeError, match=f"holds a second recording at byte {len(data)}"):
        decode_bytes(data * 2)


def test_what_follows_an_ogg_file_is_no_missing_end():
    data = opus()
    np.testing.assert_array_equal(decode_bytes(data + b"TAG" + bytes(125)).samples, decode_bytes(data).samples)


def test_vorbis_is_as_long_as_libsndfile_says():
    data = OGG["vorbis"]()
    expected, _ = soundfile.read(io.BytesIO(data))
    assert decode_bytes(data).samples.size == len(expected)


ADTS = b"\xff\xf1\x50\x80\0\xff\xfc"
"""An AAC frame of its head alone."""
LOUD_MP3 = b"\xff\xf3\x14\0" + bytes(20)
FMT = b"fmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0"
TAG = b"ID3\3\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        (b"", ADTS),
        (ADTS, b"\xff"),
        (ADTS, TAG),
        (ADTS, b"TAG" + bytes(125)),
        (b"", LOUD_MP3),
        (LOUD_MP3, b"\xff"),
        (b"#!AMR\n", b"\x7c"),
        (b"", b"OggS\0\0" + bytes(20) + b"\0"),
        (b"RIFF\0\0\0\0WAVE" + FMT, b"LIST\0\0\0\0"),
        (b"FORM\0\0\0\0AIFF", b"ANNO\0\0\0\0"),
        (b"caff\0\1\0\0desc" + bytes(7) + b"\x20" + bytes(32), b"free" + bytes(8)),
        (b"\0\0\0\x08ftyp", b"\0\0\0\x08free"),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7, b"\x12\x54\xc3\x67\x80"),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + bytes(5) + b"\x40\0", b"\xec\x80"),
        (b"\0\0\0\x08ftyp", b"\0\0\0\1free\0\0\0\0\0\0\0\x10"),
    ],
    ids=["aac", "aac, marks", "aac, id3", "aac, tags", "mp3", "mp3, marks", "amr", "ogg", "wav", "aiff", "caf", "mp4",
         "mkv, live", "mkv", "mp4, long"],
)  # fmt: skip
def test_a_file_of_millions_of_tiny_parts_is_refused(head: bytes, unit: bytes, monkeypatch: pytest.MonkeyPatch):
    """200 MB of them would take half a minute, and gigabytes of memory for the list of them."""
    monkeypatch.setattr(framing, "MOST_PARTS", 999)
    with pytest.raises(DecodeError, match="consists of more than 999 parts, which no recording does"):
        inspect(head + 1000 * unit)


@pytest.mark.parametrize(
    "made", [1000 * TAG + ADTS, b"\x1a\x45\xdf\xa3\x80" + 1000 * b"\xec\x80"], ids=["id3", "voids"]
)
def test_what_stands_in_front_is_not_walked_for_ever(made: bytes):
    assert inspect(made) == Contents(made, counted=inspect(made).counted)
    assert not inspect(made).whole


def test_an_index_larger_than_any_recordings_is_refused(monkeypatch: pytest.MonkeyPatch):
    """libav would take half a minute for 200 MB of empty boxes."""
    monkeypatch.setattr(containers, "MOST_INDEX_BYTES", 2_000_000)
    moov = (2_000_008).to_bytes(4, "big") + b"moov" + b"\0\0\0\x08free" * 250_000
    with pytest.raises(DecodeError, match="has an index of 2 MB, which no recording has"):
        inspect(b"\0\0\0\x08ftyp" + moov)
    assert inspect(b"\0\0\0\x08ftyp" + moov.replace(b"moov", b"free")).whole


def test_two_tables_of_packets_are_refused():
    """Each would cost a copy of the file."""
    table = b"pakt" + (24).to_bytes(8, "big") + bytes(15) + b"\1" + bytes(8)
    with pytest.raises(DecodeError, match="holds two tables of packets"):
        inspect(b"caff\0\1\0\0desc" + (32).to_bytes(8, "big") + bytes(32) + 2 * table)


def test_an_mp3_whose_frame_ends_within_its_header_of_frames_is_read():
    assert inspect(LOUD_MP3[:20] + b"Xing" + LOUD_MP3).data
