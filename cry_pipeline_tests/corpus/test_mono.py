"""Channels become one only where their mean is what is heard."""

import numpy as np
import pytest

from cry_pipeline.corpus import mono
from cry_pipeline.corpus.decoding import DecodeError, decode_bytes
from cry_pipeline.corpus.mono import Mono
from cry_pipeline_tests.corpus.audio_files import wav
from cry_pipeline_tests.corpus.conftest import tone

NOISE = np.random.default_rng(0).normal(0, 0.01, (2, 9600))
CONTAINERS = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("FLAC", "PCM_16")]


@pytest.mark.parametrize(("container", "subtype"), CONTAINERS)
@pytest.mark.parametrize("noise", [0, NOISE])
def test_channels_that_cancel_each_other_are_said(container: str, subtype: str, noise: np.ndarray):
    sound = np.stack([tone(), -tone()]) + noise
    with pytest.raises(DecodeError, match="has channels that cancel each other"):
        decode_bytes(wav(sound.T, container=container, subtype=subtype))


@pytest.mark.parametrize(("container", "subtype"), CONTAINERS)
@pytest.mark.parametrize(
    "sound",
    [
        np.stack([tone(), 0 * tone()]),
        np.stack([tone(), *[0 * tone()] * 7]),
        np.stack([tone(), tone(hz=500)]),
        np.stack([tone(), np.roll(tone(), 3)]),
        np.stack([tone(), -0.5 * tone()]),
        np.random.default_rng(1).uniform(-0.5, 0.5, (8, 9600)),
        0 * NOISE,
    ],
    ids=["one side", "one of eight", "two tones", "late", "partly", "noises", "silence"],
)
def test_channels_that_only_differ_are_mixed(sound: np.ndarray, container: str, subtype: str):
    samples = decode_bytes(wav(sound.T, container=container, subtype=subtype)).samples
    np.testing.assert_allclose(samples, sound.mean(axis=0), rtol=0, atol=0.01)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "CAF"])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("full_scale", [128, 32_767, 2**31])
def test_floats_that_were_never_scaled_are_no_square_wave(container: str, subtype: str, full_scale: int):
    with pytest.raises(DecodeError, match="where full scale is 1: it was never scaled"):
        decode_bytes(wav(tone() * full_scale, container=container, subtype=subtype))


def test_a_codecs_overshoot_is_clipped():
    samples = decode_bytes(wav(tone() * 5.6, subtype="FLOAT")).samples  # AMR reaches 2.8 in the corpus
    np.testing.assert_array_equal(samples, np.clip(tone() * np.float32(5.6), -1, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pieces_change_no_sample(channels: int, dtype: type, order, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    pcm = rng.uniform(-1, 1, (channels, 1000)) if dtype is np.float32 else rng.integers(0, 250, (channels, 1000))
    pcm = np.asarray(pcm.astype(dtype), order=order)
    whole, pieces = Mono(), Mono()
    whole.add(pcm)
    monkeypatch.setattr(mono, "PIECE", 7)
    pieces.add(pcm[:, :500])
    pieces.add(pcm[:, 500:])
    np.testing.assert_array_equal(pieces.samples(), whole.samples())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_one_sample_that_is_no_number_is_found(value: float, channels: int):
    sound = np.zeros((100, channels))
    sound[50, -1] = value
    for subtype in ("FLOAT", "DOUBLE"):
        with pytest.raises(DecodeError, match="not finite"):
            decode_bytes(wav(sound, subtype=subtype))
