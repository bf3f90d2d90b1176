"""Transforms are librosa's at equal parameters, and a recording's batch-mates cannot be heard in them."""

from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.catalog import FeatureSetSpec, load_catalog
from cry_pipeline.corpus.decoding import load_samples
from cry_pipeline.features.computing import FeatureTransform, padded
from cry_pipeline.features.kernel import fused_transform
from cry_pipeline.features.kernel.fourier import factored
from cry_pipeline.features.transforms import dct_matrix, frame, mel_filters, window

TOLERANCE_DB = 2e-3
PLAIN = FeatureSetSpec.model_validate(
    {"sample_rate_hz": 8000, "n_fft": 256, "window_samples": 256, "hop_samples": 128, "mels": 40, "fmax_hz": 4000}
)
SPECS = {
    **load_catalog().feature_sets,
    "htk": PLAIN.model_copy(update={"mel_scale": "htk", "fmin_hz": 100.0, "fmax_hz": 3500.0}),
    "symmetric": PLAIN.model_copy(update={"window": "hann_symmetric"}),
    "zeros": PLAIN.model_copy(update={"padding": "zeros"}),
    "not_centred": PLAIN.model_copy(update={"center": False, "n_fft": 300, "window_samples": 256}),
    "reference_one": PLAIN.model_copy(update={"reference": "one"}),
    "reference_one_symmetric": PLAIN.model_copy(update={"reference": "one", "window": "hann_symmetric"}),
    "window_shorter_than_fft": PLAIN.model_copy(update={"n_fft": 512, "window_samples": 333, "hop_samples": 100}),
    "odd_fft": PLAIN.model_copy(update={"n_fft": 255, "window_samples": 201, "hop_samples": 80}),
    "25_ms_of_11025_hz": PLAIN.model_copy(
        update={"sample_rate_hz": 11_025, "n_fft": 275, "window_samples": 275, "hop_samples": 110}
    ),
    "odd_fft_zeros": PLAIN.model_copy(
        update={"n_fft": 551, "window_samples": 551, "hop_samples": 220, "padding": "zeros"}
    ),
    "odd_fft_not_centred": PLAIN.model_copy(update={"center": False, "n_fft": 275, "window_samples": 201}),
    "low_floor": PLAIN.model_copy(update={"floor_db": -120.0}),
    "high_floor": PLAIN.model_copy(update={"floor_db": -60.0}),
}


def _signals(rate: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    time = np.arange(rate + 77) / rate
    sine = np.sin(2 * np.pi * 443.7 * time)
    signals = {
        "noise": rng.uniform(-0.5, 0.5, 12_345),
        "sine_then_silence": sine * (time < 0.5),
        "clipped": np.clip(3 * sine, -1, 1),
        "chirp": np.sin(2 * np.pi * (100 + rate / 5 * time) * time),
        "silence": np.zeros(4096),
        "multiple_of_hop": rng.uniform(-1e-3, 1e-3, 128 * 50),
    }
    return {name: samples.astype(np.float32) for name, samples in signals.items()}


def _hann(samples: int, periodic: bool) -> np.ndarray:
    return np.asarray(scipy.signal.get_window("hann", samples, fftbins=periodic))


def _transform(samples: np.ndarray, spec: FeatureSetSpec) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        features = FeatureTransform(spec)(*padded([samples]))
    return {kind: values[0].numpy() for kind, values in features._asdict().items()}


def _librosa(samples: np.ndarray, spec: FeatureSetSpec) -> dict[str, np.ndarray]:
    """The same features by librosa. It is given padded samples: padding by itself, it reflects the last frame from
    too short a piece where the length is a multiple of the hop (0.03 dB off near the floor)."""
    mode = "reflect" if spec.padding == "reflect" else "constant"
    ends = np.pad(samples.astype(np.float64), spec.n_fft // 2 if spec.center else 0, mode=mode)
    hann = _hann(spec.window_samples, periodic=spec.window == "hann_periodic")
    spectrum = librosa.stft(
        ends, n_fft=spec.n_fft, win_length=spec.window_samples, hop_length=spec.hop_samples, window=hann, center=False
    )
    reference = (hann.sum() / 2) ** 2 if spec.reference == "full_scale_sine" else 1.0
    about = {"ref": reference, "amin": reference * 10 ** (spec.floor_db / 10), "top_db": None}
    power = np.abs(spectrum) ** 2
    mel = librosa.power_to_db(
        librosa.feature.melspectrogram(
            S=power,
            sr=spec.sample_rate_hz,
            n_fft=spec.n_fft,
            n_mels=spec.mels,
            fmin=spec.fmin_hz,
            fmax=spec.fmax_hz,
            htk=spec.mel_scale == "htk",
            norm="slaney",
        ),
        **about,
    )
    mfcc = librosa.feature.mfcc(S=mel, n_mfcc=spec.mfcc, dct_type=2, norm="ortho")
    return {"spectrogram": librosa.power_to_db(power, **about).T, "mel": mel.T, "mfcc": mfcc.T}


def _fused(samples: np.ndarray, spec: FeatureSetSpec) -> dict[str, np.ndarray]:
    fused = fused_transform(spec)
    assert fused is not None
    made = fused(samples, power=False, tracks=False)
    return {kind: made[kind] for kind in ("spectrogram", "mel", "mfcc")}


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        *((name, _transform) for name in SPECS),
        *((name, _fused) for name, spec in SPECS.items() if factored(spec.n_fft) is not None),
    ],
)
def test_values_equal_librosas(
    name: str, computed: Callable[[np.ndarray, FeatureSetSpec], dict[str, np.ndarray]]
) -> None:
    spec = SPECS[name]
    for signal, samples in _signals(spec.sample_rate_hz).items():
        expected = _librosa(samples, spec)
        for kind, values in computed(samples, spec).items():
            assert values.shape[0] == spec.frames(len(samples))
            assert values.dtype == np.float32
            np.testing.assert_allclose(values, expected[kind], rtol=0, atol=TOLERANCE_DB, err_msg=f"{kind} of {signal}")


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("zeros", "constant")])
@pytest.mark.parametrize("n_fft", [64, 65, 255, 256, 275])
@pytest.mark.parametrize("hop", [1, 55, 64])
def test_there_are_as_many_frames_as_librosa_has(n_fft: int, hop: int, padding: str, mode: str, center: bool) -> None:
    spec = PLAIN.model_copy(update={"n_fft": n_fft, "hop_samples": hop, "window_samples": 64, "center": center})
    for length in (1, 2, 40, n_fft - 1, n_fft, n_fft + hop - 1, n_fft + hop, 10 * hop, 1000):
        samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
        ends = np.pad(samples, n_fft // 2 if center else 0, mode=mode)  # type: ignore[call-overload]
        if len(ends) < n_fft:  # librosa refuses it
            assert spec.frames(length) == 0
            continue
        expected = librosa.util.frame(ends, frame_length=n_fft, hop_length=hop, axis=0)
        assert spec.frames(length) == len(expected), length
        frames = frame(*padded([samples]), n_fft, hop, padding if center else None)[0]
        np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("samples", [33_000, 32_999, 33_001])
def test_frames_of_an_odd_fft_are_those_of_librosas_own_stft(samples: int) -> None:
    spec = SPECS["25_ms_of_11025_hz"]
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, samples)
    spectrum = librosa.stft(sound, n_fft=275, hop_length=110, pad_mode="reflect")
    assert spec.frames(samples) == spectrum.shape[1]
    assert len(_transform(sound.astype(np.float32), spec)["mel"]) == spectrum.shape[1]


def test_values_equal_librosas_own_padding() -> None:
    samples = _signals(8000)["noise"]
    spectrum = librosa.stft(samples, n_fft=256, hop_length=128, pad_mode="reflect")
    expected = librosa.power_to_db(np.abs(spectrum) ** 2, ref=64.0**2, amin=64.0**2 * 1e-10, top_db=None)
    np.testing.assert_allclose(_transform(samples, PLAIN)["spectrogram"], expected.T, rtol=0, atol=TOLERANCE_DB)


@pytest.mark.corpus
def test_values_equal_librosas_on_real_cries(corpus: Path) -> None:
    for path in sorted(corpus.glob("donateacry_corpus_cleaned_and_updated_data/*/*.wav"))[::60]:
        samples = load_samples(path, PLAIN.sample_rate_hz)
        expected = _librosa(samples, PLAIN)
        for kind, values in _transform(samples, PLAIN).items():
            np.testing.assert_allclose(values, expected[kind], rtol=0, atol=TOLERANCE_DB)


def test_reference_one_is_what_librosa_returns_by_default() -> None:
    samples = _signals(8000)["noise"]
    spec = PLAIN.model_copy(update={"reference": "one"})
    power = np.abs(librosa.stft(samples.astype(np.float64), n_fft=256, hop_length=128, pad_mode="reflect")) ** 2
    expected = librosa.power_to_db(power, top_db=None).T  # ref=1.0, amin=1e-10: a floor of -100 dB
    np.testing.assert_allclose(_transform(samples, spec)["spectrogram"], expected, rtol=0, atol=TOLERANCE_DB)


@pytest.mark.parametrize("name", [*load_catalog().feature_sets, "not_centred", "window_shorter_than_fft"])
@pytest.mark.parametrize("block_frames", [1, 16, 49, 1000])
def test_blocks_of_frames_change_no_value(name: str, block_frames: int) -> None:
    spec = SPECS[name]
    rng = np.random.default_rng(0)
    batch = padded([rng.uniform(-1, 1, length).astype(np.float32) for length in (50 * spec.hop_samples, 3000)])
    transform = FeatureTransform(spec)
    with torch.inference_mode():
        whole, blocks = transform(*batch), transform.in_blocks(*batch, block_frames)
    assert set(blocks) == set(whole._fields)
    for kind, values in whole._asdict().items():
        torch.testing.assert_close(blocks[kind], values, rtol=0, atol=2e-4)


@pytest.mark.parametrize("kind", ["hann_periodic", "hann_symmetric"])
def test_full_scale_sine_on_a_bin_reads_0_db(kind: str) -> None:
    spec = PLAIN.model_copy(update={"window": kind, "n_fft": 1024})
    sine = np.sin(2 * np.pi * 128 * 8000 / 1024 * np.arange(8000) / 8000).astype(np.float32)
    spectrogram = _transform(sine, spec)["spectrogram"]
    np.testing.assert_allclose(spectrogram[10:50].max(axis=1), 0, atol=1e-3)


def test_silence_reads_the_floor_and_nothing_lies_below_it() -> None:
    values = _transform(np.zeros(5000, np.float32), PLAIN)
    np.testing.assert_allclose(values["spectrogram"], -100, atol=1e-4)
    np.testing.assert_allclose(values["mel"], -100, atol=1e-4)


def test_float16_costs_at_most_31_thousandths_of_a_db() -> None:
    values = _transform(_signals(8000)["clipped"], PLAIN)["spectrogram"]
    assert np.abs(values.astype(np.float16).astype(np.float64) - values).max() <= 0.0313


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 1500), min_size=1, max_size=4),
    padding=st.sampled_from(["reflect", "zeros"]),
    n_fft=st.sampled_from([64, 255, 400]),
    rest=st.floats(-1, 1),
)
def test_who_else_is_in_the_batch_changes_no_value(lengths: list[int], padding: str, n_fft: int, rest: float) -> None:
    spec = PLAIN.model_copy(update={"padding": padding, "n_fft": n_fft, "window_samples": 60, "hop_samples": 48})
    spec = spec.model_copy(update={"mels": 8, "mfcc": 8})
    rng = np.random.default_rng(len(lengths))
    recordings = [rng.uniform(-1, 1, length).astype(np.float32) for length in lengths]
    transform = FeatureTransform(spec)
    batch, counts = padded(recordings)
    batch[torch.arange(batch.shape[1]) >= counts[:, None]] = rest  # what lies behind an end does not count
    together = transform(batch, counts)
    for row, samples in enumerate(recordings):
        for alone, among in zip(transform(*padded([samples])), together, strict=True):
            torch.testing.assert_close(among[row, : spec.frames(len(samples))], alone[0], rtol=0, atol=2e-4)


@pytest.mark.parametrize("length", [1, 2, 3, 40, 128, 129, 1000])
@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("zeros", "constant")])
def test_ends_are_continued_as_numpy_does_even_when_shorter_than_the_padding(
    length: int, padding: str, mode: str
) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    ends = np.pad(samples, (128, 128), mode=mode)  # type: ignore[call-overload]
    frames = frame(*padded([samples]), 256, 100, padding)[0]
    expected = np.lib.stride_tricks.sliding_window_view(ends, 256)[::100]
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize(("length", "frames"), [(1, 0), (255, 0), (256, 1), (355, 1), (356, 2), (1000, 8)])
def test_without_centring_frames_lie_wholly_in_the_recording(length: int, frames: int) -> None:
    spec = PLAIN.model_copy(update={"center": False, "hop_samples": 100})
    assert spec.frames(length) == frames
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    found = frame(*padded([samples, np.zeros(2000, np.float32)]), 256, 100, None)[0, :frames]
    expected = np.lib.stride_tricks.sliding_window_view(samples, 256)[::100] if frames else np.empty((0, 256))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("kind", "periodic"), [("hann_periodic", True), ("hann_symmetric", False)])
def test_window_is_scipys_centred_in_the_fft(kind: str, periodic: bool) -> None:
    spec = PLAIN.model_copy(update={"window": kind, "window_samples": 101, "n_fft": 256})
    expected = librosa.util.pad_center(_hann(101, periodic), size=256)
    np.testing.assert_allclose(window(spec), expected, atol=1e-12)


def test_dct_is_scipys_orthonormal_type_2() -> None:
    values = np.random.default_rng(0).normal(size=(5, 40))
    expected = np.asarray(scipy.fft.dct(values, type=2, norm="ortho", axis=1))[:, :13]
    np.testing.assert_allclose(values @ dct_matrix(40, 13).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["htk", "not_centred", "reference_one"])
def test_transform_can_be_exported_with_any_batch_and_length(name: str) -> None:
    transform = FeatureTransform(SPECS[name])
    recordings = [np.random.default_rng(seed).uniform(-1, 1, 3000 + seed).astype(np.float32) for seed in range(3)]
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples", min=512)
    shapes = {"samples": {0: batch, 1: samples}, "lengths": {0: batch}}
    program = torch.export.export(transform, padded(recordings[:2]), dynamic_shapes=shapes, strict=False).module()
    for own, exported in zip(transform(*padded(recordings)), program(*padded(recordings)), strict=True):
        torch.testing.assert_close(exported, own)


def test_mel_filter_without_a_bin_is_refused_not_left_at_the_floor():
    spec = load_catalog().feature_sets["babycare_22k"]
    with pytest.raises(ValueError, match=r"mels: \d+ of 80 filters hold no bin of an FFT of 512"):
        mel_filters(spec.model_copy(update={"n_fft": 512, "window_samples": 512}))


@pytest.mark.parametrize("name", load_catalog().feature_sets)
def test_every_mel_of_the_catalog_hears_something(name: str):
    assert mel_filters(load_catalog().feature_sets[name]).any(dim=0).all()
