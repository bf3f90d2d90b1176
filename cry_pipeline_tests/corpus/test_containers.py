"""What a container states of its length is held against its bytes; only missing bytes are asked for again."""

import io
import struct

import av
import numpy as np
import pytest
import soundfile

from cry_pipeline.corpus.decoding import DecodeError, TruncatedError, decode_bytes
from cry_pipeline_tests.corpus.audio_files import amr_3gp, caf, encoded, flac, mp3, opus, wav
from cry_pipeline_tests.corpus.conftest import tone

NOT_KNOWN = [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFFF - 36, 0xFFFFFFFF]


def refusal(data: bytes) -> tuple[str, str]:
    """Why a file is refused: the word of the quarantine, and the sentence."""
    with pytest.raises(DecodeError) as error:
        decode_bytes(data)
    return error.value.reason, str(error.value)


def patched(data: bytes, chunk: bytes, offset: int, field: bytes) -> bytes:
    """A file with other bytes ``offset`` bytes behind the name of a chunk."""
    start = data.index(chunk) + len(chunk) + offset
    return data[:start] + field + data[start + len(field) :]


def film(container: str, codec: str, rate_hz: int, sound_s: float, picture_s: float) -> bytes:
    """A sound beside a picture of another length."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        picture, sound = out.add_stream("libvpx", rate=20), out.add_stream(codec, rate=rate_hz, layout="mono")
        assert isinstance(sound, av.AudioStream)
        picture.width = picture.height = 64
        samples = np.round(tone(sound_s, rate_hz=rate_hz) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        packets = [*sound.encode(frame), *sound.encode(None)]
        for number in range(round(picture_s * 20)):
            image = av.VideoFrame(64, 64, "yuv420p")
            image.pts = number
            packets += picture.encode(image)
        packets += picture.encode(None)
        for packet in sorted(packets, key=lambda packet: float((packet.dts or 0) * (packet.time_base or 1))):
            out.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("size", NOT_KNOWN)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "IMA_ADPCM"])
@pytest.mark.parametrize("kept", [1.0, 0.5])
def test_a_wav_whose_size_was_never_known_is_not_called_truncated(size: int, subtype: str, kept: float):
    data = wav(tone(), subtype=subtype)
    reason, words = refusal(patched(data[: int(len(data) * kept)], b"data", 0, size.to_bytes(4, "little")))
    assert (reason, words.split(",")[0]) == ("undecodable", "states no duration")


@pytest.mark.parametrize("size", [*NOT_KNOWN, 0x7F000008])
def test_an_aiff_whose_size_was_never_known_is_not_called_truncated(size: int):
    reason, words = refusal(patched(wav(tone(), container="AIFF"), b"SSND", 0, size.to_bytes(4, "big")))
    assert (reason, words.split(",")[0]) == ("undecodable", "states no duration")


@pytest.mark.parametrize("size", [0, 2**63 - 1, 2**64 - 1])
def test_a_caf_whose_size_was_never_known_is_not_called_truncated(size: int):
    reason, words = refusal(patched(caf(), b"data", 0, size.to_bytes(8, "big")))
    assert (reason, words.split(",")[0]) == ("undecodable", "states no duration")


def test_a_64_bit_wav_is_held_against_its_64_bit_size():
    data = wav(tone(), container="RF64")
    data = patched(data, b"data", 0, b"\xff" * 4)
    assert decode_bytes(data).samples.size == tone().size
    with pytest.raises(TruncatedError, match="states 19200 bytes of samples and holds 19198"):
        decode_bytes(data[:-2])
    assert refusal(patched(data, b"ds64", 12, b"\xff" * 8))[1].startswith("states no duration")


@pytest.mark.parametrize(
    "make",
    [
        lambda: wav(tone()),
        lambda: wav(tone(), subtype="PCM_24"),
        lambda: wav(tone(), container="RF64"),
        lambda: wav(tone(), container="AIFF"),
        lambda: encoded("ipod", "aac", tone(), 8000),
        lambda: encoded("matroska", "flac", tone(), 8000),
        amr_3gp,
        caf,
        flac,
        mp3,
        opus,
    ],
    ids=["wav", "wav24", "rf64", "aiff", "m4a", "mkv", "3gp", "caf", "flac", "mp3", "opus"],
)
def test_two_files_strung_together_are_not_taken_for_the_first(make):
    reason, words = refusal(make() * 2)
    assert reason == "undecodable"
    assert "second" in words or "more than one recording" in words


def test_a_recording_within_the_stated_samples_of_another_is_found():
    """A recorder of pieces may state the length of all in the first header and leave the others where they are."""
    both = wav(tone(1.0)) + wav(tone(2.0))
    stated = patched(both, b"data", 0, (len(both) - 44).to_bytes(4, "little"))
    assert refusal(stated) == ("undecodable", "holds a second file at byte 16044: split it there")


def test_a_recording_of_another_kind_behind_the_samples_is_found():
    assert (
        refusal(wav(tone()) + wav(tone(), container="RF64"))[1] == "holds a second file at byte 19244: split it there"
    )


@pytest.mark.parametrize("fact", [0, 12_000, 48_000, 2**32 - 1])
@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "ALAW"])
def test_what_a_wav_counts_beside_its_bytes_does_not_matter(fact: int, subtype: str):
    data = wav(tone(3.0), subtype=subtype)
    expected, _ = soundfile.read(io.BytesIO(data))
    counted = patched(data, b"fact", 4, fact.to_bytes(4, "little"))
    assert decode_bytes(counted).samples.size == len(expected)


def test_an_aiff_that_contradicts_itself_is_not_asked_for_again():
    data = wav(tone(), container="AIFF")
    for frames in (tone().size // 2, tone().size * 2):
        reason, words = refusal(patched(data, b"COMM", 6, frames.to_bytes(4, "big")))
        assert reason == "undecodable"
        assert words.startswith(f"states {frames} samples and yields {tone().size}")
        assert "ask for the file again" not in words


@pytest.mark.parametrize(("samples", "rate_hz"), [(24_003, 8000), (48_000, 16_000), (8192, 44_100), (100, 8000)])
def test_lossless_caf_of_an_iphone_is_whole(samples: int, rate_hz: int):
    """libav takes the samples that the last packet lacks off once more, or refuses a remainder of a whole packet."""
    sound = 0.3 * np.sin(np.arange(samples) / 10)
    data = wav(sound, rate_hz, container="CAF", subtype="ALAC_16")
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_array_equal(decode_bytes(data).samples, expected)
    assert decode_bytes(encoded("caf", "alac", sound, rate_hz)).samples.size == samples
    with pytest.raises(TruncatedError, match="bytes of samples"):
        decode_bytes(data[:-2])


@pytest.mark.parametrize(
    ("container", "codec", "samples"), [("webm", "libopus", 144_000), ("matroska", "aac", 144_384)]
)
@pytest.mark.parametrize("picture_s", [2.0, 3.5])
def test_a_picture_may_last_longer_or_shorter_than_the_sound(container: str, codec: str, samples: int, picture_s):
    data = film(container, codec, 48_000, 3.0, picture_s)
    assert decode_bytes(data).samples.size == samples
    with pytest.raises(TruncatedError, match=r"states \d+ bytes and holds \d+; ask for the file again"):
        decode_bytes(data[:-100])


def test_a_length_in_milliseconds_is_no_exact_number_of_samples():
    sound = tone(3.0, rate_hz=44_100)[:-13]
    assert decode_bytes(encoded("matroska", "flac", sound, 44_100)).samples.size == sound.size


TAG = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)


@pytest.mark.parametrize("tag", [TAG, TAG + bytes(9), TAG + TAG, b"ID3\x04\0\x10\0\0\0\x0a" + bytes(20)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: wav(tone()),
        lambda: wav(tone(), container="AIFF"),
        lambda: encoded("ipod", "aac", tone(), 8000),
        lambda: encoded("matroska", "flac", tone(), 8000),
        caf,
        flac,
        opus,
    ],
    ids=["wav", "aiff", "m4a", "mkv", "caf", "flac", "opus"],
)
def test_a_tag_in_front_does_not_hide_the_container(make, tag: bytes):
    data = make()
    np.testing.assert_array_equal(decode_bytes(tag + data).samples, decode_bytes(data).samples)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_chunk_of_notes_that_is_larger_than_the_file_costs_no_memory(subtype: str):
    data = wav(tone(), subtype=subtype)
    note = b"LIST" + (2_000_000_000).to_bytes(4, "little") + b"INFOISFT"
    reason, words = refusal(data[:12] + note + data[12:])
    assert reason == "undecodable"
    assert words == "ends within the chunk 'LIST' of 2000000000 bytes in front of its samples"
    np.testing.assert_array_equal(decode_bytes(data + note).samples, decode_bytes(data).samples)


def test_a_header_that_ends_early_is_told_from_missing_samples():
    assert refusal(wav(tone())[:20]) == (
        "undecodable",
        "ends within the chunk 'fmt ' of 16 bytes in front of its samples",
    )
    assert refusal(wav(tone())[:36]) == ("undecodable", "holds no chunk of samples")


@pytest.mark.parametrize("behind", [bytes(100), b"TAG" + bytes(125), struct.pack(">I4s", 2**31, b"what")])
def test_what_follows_an_mp4_is_no_missing_end(behind: bytes):
    data = amr_3gp()
    np.testing.assert_array_equal(decode_bytes(data + behind).samples, decode_bytes(data).samples)


def test_an_mp4_in_fragments_is_held_against_each():
    options = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
    data = encoded("mp4", "aac", tone(3.0, rate_hz=48_000), 48_000, **options)
    assert decode_bytes(data).samples.size == 145_408  # 142 frames of 1,024
    with pytest.raises(TruncatedError, match="bytes of 'mdat'"):
        decode_bytes(data[: len(data) * 8 // 10])
