"""Other front ends at equal parameters: log-mels of the same values, in one thread; each with its version.

Lhotse is none of them: its filters have another norm and scale, so that it computes something else.

Belongs here: what each of them is asked, and that it gives what ours does. Does not: librosa (librosas.py).
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

import numpy as np
import torch

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.computing import FeatureSetComputer
from cry_pipeline.features.transforms import dct_matrix, mel_filters
from cry_pipeline_tests.benchmarks.measuring import Figure, best_of, seen

WHISPER = FeatureSetSpec.model_validate(
    {"sample_rate_hz": 16_000, "n_fft": 400, "window_samples": 400, "hop_samples": 160}
    | {"mels": 80, "fmin_hz": 0, "fmax_hz": 8000, "mfcc": 20, "reference": "one"}
)
"""Whisper's front end, to which asrfront is made."""
KALDI = FeatureSetSpec.model_validate(
    {"sample_rate_hz": 16_000, "n_fft": 512, "window_samples": 400, "hop_samples": 160, "center": False}
    | {"mels": 80, "fmin_hz": 20, "fmax_hz": 8000, "mfcc": 20, "reference": "one"}
)
"""Kaldi's frames, with librosa's filters, which kaldi-native-fbank has as well."""

PIECE_S = 30
OFF_DB = 0.02
Mel = Callable[[np.ndarray], np.ndarray]
"""Samples → mel [frames, mels], dB."""


def measures(recordings: Sequence[np.ndarray]) -> Iterator[Figure]:
    """Yield how long each rival takes for log-mels alone, over ours with spectrogram and MFCC.

    Args:
        recordings: float32 at 16 kHz.

    Raises:
        AssertionError: a rival's values are not ours: it would be compared at another task.
    """
    torch.set_num_threads(1)
    pieces = pieces_of(recordings)
    for name, spec, make in (
        ("torch", WHISPER, _torch),
        ("asrfront", WHISPER, _asrfront),
        ("kaldi-native-fbank", KALDI, _kaldi),
    ):
        computer, theirs = FeatureSetComputer(spec), make(spec)
        assert_equal(computer, theirs, pieces[0])
        best = best_of(
            {
                "ours": lambda: [computer.features([samples]) for samples in pieces],  # noqa: B023
                "theirs": lambda: [theirs(samples) for samples in pieces],  # noqa: B023
            }
        )
        rates = [PIECE_S * len(pieces) / best[rival] for rival in ("ours", "theirs")]
        detail = f"{rates[0]:,.0f} and {rates[1]:,.0f} seconds of audio per CPU-second; values within {OFF_DB} dB"
        yield seen(f"16 kHz, log-mels of {name} {version(name)}", best["theirs"] / best["ours"], detail)


def pieces_of(recordings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return ``recordings`` one after the other, in pieces of 30 s: asrfront computes so many, whatever it is given."""
    length = PIECE_S * WHISPER.sample_rate_hz
    joined = np.concatenate(recordings)
    return [joined[start : start + length] for start in range(0, len(joined) - length + 1, length)]


def assert_equal(computer: FeatureSetComputer, theirs: Mel, samples: np.ndarray) -> None:
    """Raise unless the mels of ``samples`` differ by ``OFF_DB`` at most, where they are 60 dB below the loudest.

    What is softer is lost in float32, which all of them compute in from the samples on; ends are continued in different
    ways.
    """
    (ours,), found = computer.features([samples]), theirs(samples)
    frames = min(len(found), len(ours["mel"])) - 3
    expected, found = ours["mel"][3:frames], found[3:frames]
    loud = expected > expected.max() - 60
    assert loud.mean() > 0.3
    np.testing.assert_allclose(found[loud], expected[loud], rtol=0, atol=OFF_DB)


def _torch(spec: FeatureSetSpec) -> Mel:
    window, filters = torch.hann_window(spec.window_samples), mel_filters(spec)
    cosines = dct_matrix(spec.mels, spec.mfcc)

    @torch.inference_mode()
    def mel(samples: np.ndarray) -> np.ndarray:
        spectrum = torch.stft(
            torch.from_numpy(samples), spec.n_fft, spec.hop_samples, window=window, return_complex=True
        )
        power = spectrum.abs().square()
        mel = (filters.T @ power).clamp_min(1e-10).log10() * 10
        _ = power.clamp_min(1e-10).log10() * 10, mel.T @ cosines  # it has them at hand, and is asked for them
        return mel.T.numpy()

    return mel


def _asrfront(spec: FeatureSetSpec) -> Mel:
    import asrfront

    def mel(samples: np.ndarray) -> np.ndarray:
        # (log₁₀(power) + 4) / 4, of at least eight below the loudest.
        return (np.asarray(asrfront.whisper.log_mel(samples)).T * 4 - 4) * 10

    return mel


def _kaldi(spec: FeatureSetSpec) -> Mel:
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    frame, mels = options.frame_opts, options.mel_opts
    frame.samp_freq, frame.dither, frame.preemph_coeff, frame.remove_dc_offset = spec.sample_rate_hz, 0, 0, False
    frame.window_type, frame.frame_length_ms, frame.frame_shift_ms = "hann", 25, 10
    mels.num_bins, mels.low_freq, mels.high_freq = spec.mels, spec.fmin_hz, spec.fmax_hz
    mels.is_librosa, mels.use_slaney_mel_scale, mels.norm = True, True, "slaney"
    behind = (spec.n_fft - spec.window_samples) // 2

    def mel(samples: np.ndarray) -> np.ndarray:
        computer = kaldi_native_fbank.OnlineFbank(options)
        computer.accept_waveform(spec.sample_rate_hz, samples[behind:])  # pyright: ignore[reportArgumentType]
        computer.input_finished()
        frames = [computer.get_frame(index) for index in range(computer.num_frames_ready)]
        return np.stack(frames) * (10 / np.log(10))

    return mel
