"""Audio is decoded whole, or refused; the numbers are those of other decoders."""

import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from cry_pipeline.corpus import audio as limits
from cry_pipeline.corpus.decoding import (
    DecodeError,
    NotAudioError,
    TruncatedError,
    decode,
    decode_bytes,
    load_samples,
    resample,
)
from cry_pipeline_tests.corpus.audio_files import AMR_SECOND, SPEECH, amr_3gp, caf, encoded, flac, mp3, wav
from cry_pipeline_tests.corpus.conftest import tone


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW")),
        *(("FLAC", subtype) for subtype in ("PCM_16", "PCM_24")),
        ("AIFF", "PCM_16"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_equal_libsndfiles(container, subtype, channels):
    sound = np.random.default_rng(0).uniform(-1, 1, (5000, channels))
    data = wav(sound, 11_025, container, subtype)
    audio = decode_bytes(data)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    np.testing.assert_allclose(audio.samples, expected.mean(axis=1), rtol=0, atol=1e-7)
    assert audio.samples.dtype == np.float32
    assert (audio.sample_rate_hz, audio.channels) == (11_025, channels)


def test_wav_is_read_whole_even_when_its_header_is_longer_than_what_is_probed():
    data = wav(tone(1.0))
    for place in (12, data.index(b"data")):
        longer = data[:place] + b"JUNK" + (20_000).to_bytes(4, "little") + bytes(20_000) + data[place:]
        longer = longer[:4] + (len(longer) - 8).to_bytes(4, "little") + longer[8:]
        np.testing.assert_array_equal(decode_bytes(longer).samples, decode_bytes(data).samples)


@pytest.mark.parametrize(
    ("make", "codec", "rate_hz", "samples"),
    [(caf, "adpcm_ima_qt", 16_000, 48_000), (amr_3gp, "amrnb", 8000, 24_000)],
)
def test_phone_codecs_keep_the_sound(make: Callable[[], bytes], codec, rate_hz, samples):
    audio = decode_bytes(make())
    assert (audio.codec, audio.sample_rate_hz) == (codec, rate_hz)
    assert abs(audio.samples.size - samples) <= 160
    spectrum = np.abs(np.fft.rfft(audio.samples))
    assert spectrum.argmax() * rate_hz / audio.samples.size == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz"),
    [("ipod", "aac", 44_100), ("mp3", "libmp3lame", 44_100), ("ogg", "libopus", 48_000), ("webm", "libopus", 48_000)],
)
def test_priming_of_other_phone_codecs_is_no_truncation(container, codec, rate_hz):
    audio = decode_bytes(encoded(container, codec, tone(1.0, rate_hz=rate_hz), rate_hz))
    assert audio.sample_rate_hz == rate_hz
    assert abs(audio.samples.size - rate_hz) <= 1024


@pytest.mark.corpus
def test_android_uploads_decode_to_what_the_curators_converted_them_to(corpus):
    cleaned = {file.stem: file for file in corpus.glob("donateacry_corpus_cleaned*/*/*.wav")}
    uploads = [file for file in sorted(corpus.glob("donateacry-android*/*.3gp")) if file.stem in cleaned]
    assert len(uploads) == 224
    for upload in uploads[::16]:
        expected, _ = soundfile.read(cleaned[upload.stem], dtype="float32")
        np.testing.assert_allclose(decode(upload).samples, expected, rtol=0, atol=2**-15 + 1e-7)


@pytest.mark.corpus
def test_frame_by_frame_the_uploads_are_bit_for_bit_what_libav_makes_of_their_packets(corpus):
    uploads = sorted(corpus.glob("donateacry-android*/*.3gp"))
    assert len(uploads) > 500
    for upload in uploads[::12]:
        with av.open(str(upload)) as container:
            frames = [frame.to_ndarray()[0] for frame in container.decode(container.streams.audio[0])]
        expected = np.clip(np.concatenate(frames), -1, 1)  # from PyAV 19 on a last packet may be missing
        samples = decode(upload).samples
        np.testing.assert_array_equal(samples[: expected.size], expected)
        assert samples.size - expected.size in ((0,) if int(av.__version__.split(".")[0]) < 19 else (0, 1920))


@pytest.mark.parametrize("kept", [0.5, 0.7, 0.9, 0.95])
@pytest.mark.parametrize(
    "make", [lambda: wav(tone()), flac, caf, amr_3gp, mp3], ids=["wav", "flac", "caf", "3gp", "mp3"]
)
def test_cut_file_is_truncated(make: Callable[[], bytes], kept):
    data = make()
    with pytest.raises(TruncatedError, match="ask for the file again"):
        decode_bytes(data[: int(len(data) * kept)])


def test_caf_cut_between_two_packets_is_truncated():
    data = caf()
    start = data.index(b"data") + 16  # chunk type, size, edit count
    with pytest.raises(TruncatedError, match="states 25504 bytes of samples and holds 3404"):
        decode_bytes(data[: start + 100 * 34])


def stating(data: bytes, samples: int) -> bytes:
    """A 3gp whose media header states another number of samples."""
    duration = data.index(b"mdhd") + 4 + 16  # behind version and flags, two times and the time scale
    return data[:duration] + samples.to_bytes(4, "big") + data[duration + 4 :]


def test_lossy_stream_may_yield_one_frame_more_than_it_states():
    data = amr_3gp()
    samples = decode_bytes(data).samples
    assert samples.size == 24_000
    np.testing.assert_array_equal(decode_bytes(stating(data, samples.size - 160)).samples, samples)
    with pytest.raises(DecodeError, match="states 23839 samples and yields 24000: it is more than one") as error:
        decode_bytes(stating(data, samples.size - 161))
    assert error.value.reason == "undecodable"  # all its bytes are there


def test_index_of_a_file_cut_within_its_samples_is_not_trusted():
    data = amr_3gp()
    for kept, held in ((data.index(b"mdat") + 4, 0), (len(data) - SPEECH, 149 * SPEECH)):
        with pytest.raises(TruncatedError, match=f"states 1950 bytes of 'mdat' and holds {held}; ask"):
            decode_bytes(data[:kept])


def test_last_packet_that_lasts_longer_than_its_frames_is_decoded():
    """Seven uploads end so; libav 9 drops such a packet with all its frames."""
    data = amr_3gp(AMR_SECOND)
    delta = data.index(b"stts") + 12  # one run: count, samples per packet
    assert data[delta : delta + 8] == (50).to_bytes(4, "big") + (160).to_bytes(4, "big")
    longer = data[:delta] + (50).to_bytes(4, "big") + (161).to_bytes(4, "big") + data[delta + 8 :]
    np.testing.assert_array_equal(decode_bytes(longer).samples, decode_bytes(data).samples)


def test_length_of_another_stream_does_not_matter(tmp_path: Path):
    with av.open(str(tmp_path / "two.mov"), "w") as out:
        streams = [out.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(2)]
        for stream, seconds in zip(streams, (1, 3), strict=True):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, seconds * 8000), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 8000, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
    assert decode(tmp_path / "two.mov").samples.size == 8000


def test_one_missing_sample_of_a_lossless_file_is_noticed():
    data = bytearray(flac())
    stated = int.from_bytes(data[22:26], "big")  # the low 32 bits of the stream's length in STREAMINFO
    assert stated == 24_000
    data[22:26] = (stated + 1).to_bytes(4, "big")
    with pytest.raises(TruncatedError, match="states 24001 samples and yields 24000"):
        decode_bytes(bytes(data))


def test_riff_size_is_found_behind_other_chunks():
    data = wav(tone())
    note = b"LIST" + (9).to_bytes(4, "little") + b"INFOICMT\0\0"  # an odd size is padded
    longer = data[:12] + note + data[12:]
    np.testing.assert_array_equal(decode_bytes(longer).samples, decode_bytes(data).samples)
    with pytest.raises(TruncatedError, match="states 19200 bytes of samples and holds 19198"):
        decode_bytes(longer[:-2])


@pytest.mark.parametrize("data", [b"", b"not audio" * 100])
def test_what_is_no_container_is_undecodable(data):
    with pytest.raises(DecodeError, match="cannot be read by libav") as error:
        decode_bytes(data)
    assert error.value.reason == "undecodable"


def test_film_without_sound_is_not_audio():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=25)
        out.mux([*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode(None)])
    with pytest.raises(NotAudioError, match="holds no audio stream"):
        decode_bytes(file.getvalue())


def test_stream_without_a_stated_duration_is_refused():
    with pytest.raises(DecodeError, match="states no duration"):
        decode_bytes(encoded("webm", "libopus", tone(rate_hz=48_000), 48_000, live="1"))


@pytest.mark.parametrize("data", [wav(np.zeros(0)), wav(tone()).replace((19200).to_bytes(4, "little"), b"\xff" * 4)])
def test_wav_that_was_never_finished_is_refused(data):
    with pytest.raises(DecodeError, match="states no duration"):
        decode_bytes(data)


def test_endless_recording_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_DURATION_S", 1.0)
    with pytest.raises(DecodeError, match="longer than 1 s"):
        decode_bytes(wav(tone(1.2)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(value):
    with pytest.raises(DecodeError, match="not finite"):
        decode_bytes(wav(np.array([0.0, value, 0.1]), subtype="FLOAT"))


def test_overshoot_is_clipped_at_full_scale():
    samples = decode_bytes(wav(np.array([0.5, 2.5, -3.0]), subtype="FLOAT")).samples
    np.testing.assert_array_equal(samples, np.array([0.5, 1.0, -1.0], np.float32))


def test_tags_that_are_not_utf8_do_not_matter():
    data = wav(tone())
    text = "Bébés.".encode("latin-1")
    tag = b"INFOINAM" + len(text).to_bytes(4, "little") + text
    tagged = data[:12] + b"LIST" + len(tag).to_bytes(4, "little") + tag + data[12:]
    np.testing.assert_array_equal(decode_bytes(tagged).samples, decode_bytes(data).samples)


def test_error_names_the_file(tmp_path: Path):
    file = tmp_path / "baby.wav"
    file.write_bytes(wav(tone())[:-2])
    with pytest.raises(TruncatedError, match=r"baby\.wav states"):
        decode(file)


def test_loading_at_the_files_own_rate_changes_nothing(tmp_path: Path):
    file = tmp_path / "baby.wav"
    file.write_bytes(wav(tone()))
    np.testing.assert_array_equal(load_samples(file, 8000), decode(file).samples)


def test_resampling_keeps_the_tone():
    samples = resample(tone(1.0, rate_hz=16_000), 16_000, 8000)
    assert samples.shape == (8000,)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples[500:-500], tone(1.0)[500:-500], atol=1e-3)
