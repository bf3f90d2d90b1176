"""What an engineer would otherwise write: features with librosa, kept with ``np.save``.

Belongs here: the rival that the product is measured against. Does not: anything of the product but its parameters.
"""

from collections.abc import Iterable
from pathlib import Path

import librosa
import numpy as np

from cry_pipeline.catalog import FeatureSetSpec


def load(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Decode and resample by soxr's HQ recipe, which is librosa's default: float32 [samples]."""
    return librosa.load(path, sr=sample_rate_hz)[0]


def shared_stft(samples: np.ndarray, spec: FeatureSetSpec) -> dict[str, np.ndarray]:
    """Spectrogram, mel and MFCC of one STFT, each [values, frames] in dB."""
    about = _decibels(spec)
    spectrum = librosa.stft(samples, pad_mode="reflect", **_stft(spec))
    power = np.abs(spectrum) ** 2
    mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, n_fft=spec.n_fft, **_mel(spec)), **about)
    mfcc = librosa.feature.mfcc(S=mel, n_mfcc=spec.mfcc)
    return {"spectrogram": librosa.power_to_db(power, **about), "mel": mel, "mfcc": mfcc}


def three_calls(samples: np.ndarray, spec: FeatureSetSpec) -> dict[str, np.ndarray]:
    """The same by the three calls of the manual, each with an STFT of its own."""
    stft, about = _stft(spec), _decibels(spec)
    power = np.abs(librosa.stft(samples, pad_mode="reflect", **stft)) ** 2
    mel = librosa.feature.melspectrogram(y=samples, pad_mode="reflect", **stft, **_mel(spec))
    mfcc = librosa.feature.mfcc(y=samples, n_mfcc=spec.mfcc, pad_mode="reflect", **stft, **_mel(spec))
    return {"spectrogram": librosa.power_to_db(power, **about), "mel": librosa.power_to_db(mel, **about), "mfcc": mfcc}


def save_loop(paths: Iterable[Path], spec: FeatureSetSpec, folder: Path) -> None:
    """Files → one ``.npy`` for each recording and kind, neither verified nor brought to the disk."""
    for index, path in enumerate(paths):
        for kind, values in shared_stft(load(path, spec.sample_rate_hz), spec).items():
            np.save(folder / f"{index}.{kind}.npy", values)


def _stft(spec: FeatureSetSpec) -> dict:
    return {"n_fft": spec.n_fft, "win_length": spec.window_samples, "hop_length": spec.hop_samples}


def _mel(spec: FeatureSetSpec) -> dict:
    return {
        "sr": spec.sample_rate_hz,
        "n_mels": spec.mels,
        "fmin": spec.fmin_hz,
        "fmax": spec.fmax_hz,
        "htk": spec.mel_scale == "htk",
    }


def _decibels(spec: FeatureSetSpec) -> dict:
    reference = (librosa.filters.get_window("hann", spec.window_samples).sum() / 2) ** 2
    return {"ref": reference, "amin": reference * 10 ** (spec.floor_db / 10), "top_db": None}
