"""Files in the corpus' formats are read back whole, and depend on nothing but their samples."""

import logging
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.corpus.decoding import decode
from cry_pipeline.corpus.synthetic import encoding
from cry_pipeline.corpus.synthetic.encoding import UPLOADS, WAV, EncodingError, Format, upload_format, write_audio

AMR = UPLOADS["android"][0]
needs_amr_encoder = pytest.mark.skipif(
    not encoding._can_encode(AMR.codec), reason=f"this PyAV has no {AMR.codec} encoder (none has from 19 on)"
)
FORMATS = [pytest.param(AMR, marks=needs_amr_encoder), *UPLOADS["android"][1:], *UPLOADS["ios"]]


def chord(audio: Format, seconds: float = 1.3) -> np.ndarray:
    """Three sines in the band of a telephone, float32 ``[samples]``, whole blocks."""
    at = np.arange(audio.samples(seconds)) / audio.sample_rate_hz
    return 0.2 * np.sin(2 * np.pi * np.array([[350], [900], [1700]]) * at).sum(axis=0).astype(np.float32)


@pytest.mark.parametrize("audio", FORMATS, ids=lambda audio: audio.codec)
def test_a_file_decodes_to_as_many_samples_as_were_written(audio: Format, tmp_path: Path) -> None:
    written = chord(audio)
    path = tmp_path / f"recording{audio.suffix}"
    write_audio(path, written, audio)
    read = decode(path)
    assert read.samples.shape == written.shape
    assert (read.sample_rate_hz, read.channels) == (audio.sample_rate_hz, 1)
    spectra = np.abs(np.fft.rfft([written, read.samples]))
    assert np.corrcoef(spectra)[0, 1] > 0.9  # the codecs are lossy, and delay


@pytest.mark.parametrize(
    ("platform", "codec"), [pytest.param("android", "amrnb", marks=needs_amr_encoder), ("ios", "adpcm_ima_qt")]
)
def test_uploads_have_the_codecs_of_the_real_corpus(platform: str, codec: str, tmp_path: Path) -> None:
    audio = UPLOADS[platform][0]
    write_audio(tmp_path / "recording", chord(audio), audio)
    assert codec in decode(tmp_path / "recording").codec


def test_a_wav_file_keeps_every_16_bit_sample_and_clips_what_is_louder(tmp_path: Path) -> None:
    written = np.array([0.0, 1.0, -1.0, 2.0, 12_345 / 32_767], dtype=np.float32)
    write_audio(tmp_path / "a.wav", written, WAV)
    read = decode(tmp_path / "a.wav").samples * 32_768
    np.testing.assert_array_equal(read, [0, 32_767, -32_767, 32_767, 12_345])


@pytest.mark.parametrize("audio", FORMATS, ids=lambda audio: audio.codec)
def test_equal_samples_give_equal_bytes_whenever_and_wherever_written(audio: Format, tmp_path: Path) -> None:
    for name in ("one", "another"):
        write_audio(tmp_path / name, chord(audio), audio)
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "another").read_bytes()
    assert b"Lav" not in content  # nor do they name libavformat's or libavcodec's version


def test_samples_that_a_codec_would_pad_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="161 samples are not a multiple of 160"):
        write_audio(tmp_path / "a.3gp", np.zeros(161, dtype=np.float32), UPLOADS["android"][0])


def test_the_shortest_recording_is_one_block() -> None:
    assert UPLOADS["ios"][0].samples(0.0) == 64
    assert UPLOADS["android"][0].samples(1.0) == 8000


def test_an_encoder_that_is_missing_is_stood_in_for_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(encoding, "_can_encode", lambda codec: codec != "libopencore_amrnb")
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        assert upload_format("android").suffix == ".m4a"
    assert "libav has no libopencore_amrnb encoder: android uploads are written as .m4a" in caplog.text


@needs_amr_encoder
def test_nothing_is_said_when_the_codec_of_the_corpus_is_there(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        assert upload_format("android").suffix == ".3gp"
    assert not caplog.records


def test_without_any_encoder_the_error_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_can_encode", lambda codec: False)
    with pytest.raises(EncodingError, match="can encode none of adpcm_ima_qt"):
        upload_format("ios")


def test_an_unknown_codec_cannot_be_encoded() -> None:
    assert not encoding._can_encode("no_such_codec")
