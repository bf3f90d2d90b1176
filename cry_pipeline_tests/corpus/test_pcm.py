"""Plain PCM is read without libav, and equal to what libav makes of it, bit for bit."""

from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.corpus import decoding, uncaged
from cry_pipeline.corpus.containers import inspect
from cry_pipeline.corpus.decoding import (
    Audio,
    DecodeError,
    decode_bytes,
)
from cry_pipeline.corpus.libav import decode_with_libav
from cry_pipeline.corpus.uncaged import decode_plain
from cry_pipeline_tests.corpus.audio_files import wav
from cry_pipeline_tests.corpus.conftest import tone

SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW")


def outcome(decoder: Callable[[bytes], Audio | None], data: bytes) -> object:
    """What a decoder makes of a file: its audio as bytes and words, or its error."""
    try:
        audio = decoder(data)
    except DecodeError as error:
        return type(error), str(error)
    return audio and (audio.samples.tobytes(), audio.samples.dtype, *astuple(audio)[1:])


def by_libav(data: bytes) -> Audio:
    return decode_with_libav(inspect(data))


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 3000),
    channels=st.integers(1, 2),
    subtype=st.sampled_from(SUBTYPES),
    rate_hz=st.sampled_from([8000, 11_025, 44_100]),
    loudest=st.sampled_from([0.5, 1.0, 3.0]),
    seed=st.integers(0, 9),
)
def test_plain_wav_is_bit_for_bit_what_libav_makes_of_it(samples, channels, subtype, rate_hz, loudest, seed):
    sound = np.random.default_rng(seed).uniform(-loudest, loudest, (samples, channels))
    data = wav(sound, rate_hz, subtype=subtype)
    assert outcome(decode_bytes, data) == outcome(by_libav, data)
    plain = outcome(decode_plain, data)  # of few samples two channels may cancel each other
    assert (plain is None) == (subtype in ("PCM_24", "ULAW"))  # the fast path is taken


@settings(max_examples=150, deadline=None)
@given(
    subtype=st.sampled_from(["PCM_U8", "PCM_16", "FLOAT"]),
    channels=st.integers(1, 2),
    place=st.integers(0, 60),
    value=st.integers(0, 255),
    cut=st.none() | st.integers(1, 420),
)
def test_damaged_header_never_reads_otherwise_than_by_libav(subtype, channels, place, value, cut):
    data = bytearray(wav(np.random.default_rng(0).uniform(-1, 1, (200, channels)), subtype=subtype))
    data[place] = value
    damaged = bytes(data[:-cut] if cut else data)
    plain = outcome(decode_plain, damaged)
    assert plain is None or outcome(decode_bytes, damaged) == outcome(by_libav, damaged)


@pytest.mark.parametrize("note", [b"LIST", b"JUNK", b"odd!"])
@pytest.mark.parametrize("size", [10, 11])
def test_chunks_around_the_samples_change_nothing(note: bytes, size: int):
    data = wav(tone())
    chunk = note + size.to_bytes(4, "little") + b"INFOICMT\0\0\0"[:size] + bytes(size % 2)
    start = data.index(b"data")
    for longer in (data[:start] + chunk + data[start:], data + chunk):
        longer = longer[:4] + (len(longer) - 8).to_bytes(4, "little") + longer[8:]
        assert outcome(decode_bytes, longer) == outcome(by_libav, longer) == outcome(decode_bytes, data)


def test_plain_wav_needs_no_libav(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "shared", pytest.fail)
    monkeypatch.setattr(uncaged, "decode_with_libav", pytest.fail)
    assert decode_bytes(wav(tone())).samples.size == tone().size


@pytest.mark.corpus
def test_cleaned_recordings_are_bit_for_bit_what_libav_makes_of_them(corpus):
    files = sorted(corpus.glob("donateacry_corpus_cleaned*/*/*.wav"))
    assert len(files) == 457
    for file in files[::5]:
        data = file.read_bytes()
        assert outcome(decode_plain, data) == outcome(by_libav, data)
