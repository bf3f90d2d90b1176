"""A feature set is refused when the catalog is read exactly where librosa's mel filters would hold no bin."""

import shutil
import warnings
from pathlib import Path

import librosa
import numpy as np
import pytest
import yaml

from cry_pipeline.catalog import CatalogError, FeatureSetSpec, load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS
from cry_pipeline.catalog.mel_scale import HEARD, empty_bands, hz_to_mel, mel_to_hz

BASE = {"window_samples": 64, "hop_samples": 32, "mfcc": 4}


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_scales_are_librosas(scale) -> None:
    hertz = np.array([0, 20, 440, 999.9, 1000, 1000.1, 4000, 22_050])
    mels = librosa.hz_to_mel(hertz, htk=scale == "htk")
    np.testing.assert_allclose([hz_to_mel(each, scale) for each in hertz], mels, rtol=1e-12)
    np.testing.assert_allclose([mel_to_hz(each, scale) for each in mels], hertz, rtol=1e-12)


def _parameters(rng: np.random.Generator) -> dict:
    rate = int(rng.choice([8000, 11_025, 16_000, 22_050, 44_100]))
    low = float(rng.choice([0.0, 20.0, rng.uniform(0, rate / 4)]))
    high = float(rng.choice([rate / 2, max(4000.0, low + rate / 10), rng.uniform(low + rate / 10, rate / 2)]))
    return {
        "sample_rate_hz": rate,
        "n_fft": int(rng.choice([64, 255, 256, 400, 512, 551, 1024, 2048])),
        "mels": int(rng.integers(8, 257)),
        "fmin_hz": low,
        "fmax_hz": high,
        "mel_scale": str(rng.choice(["slaney", "htk"])),
    }


def _librosas_empty(sample_rate_hz: int, n_fft: int, mels: int, fmin_hz: float, fmax_hz: float, mel_scale: str) -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        filters = librosa.filters.mel(
            sr=sample_rate_hz,
            n_fft=n_fft,
            n_mels=mels,
            fmin=fmin_hz,
            fmax=fmax_hz,
            htk=mel_scale == "htk",
            norm=None,  # type: ignore[arg-type]
            dtype=np.float64,
        )
    return np.flatnonzero(filters.max(axis=1) <= HEARD).tolist()


def test_refused_is_what_librosa_leaves_empty() -> None:
    rng, refused = np.random.default_rng(0), 0
    for _ in range(600):
        own = _parameters(rng)
        bin_hz = own["sample_rate_hz"] / own["n_fft"]
        found = empty_bands(own["mels"], own["fmin_hz"], own["fmax_hz"], bin_hz, own["mel_scale"])
        assert found == _librosas_empty(**own), own
        if found:
            with pytest.raises(ValueError, match=f"mels: {len(found)} of {own['mels']} filters hold no bin"):
                FeatureSetSpec.model_validate(BASE | own)
            refused += 1
        else:
            FeatureSetSpec.model_validate(BASE | own)
    assert 100 < refused < 500


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"sample_rate_hz": 16_000, "fmin_hz": 0.0, "fmax_hz": 8000.0, "n_fft": 512, "mels": 200},
            "too_much: mels: 3 of 200 filters hold no bin of an FFT of 512 samples at 16000 Hz",
        ),
        ({"extra_kinds": ["chroma"]}, "too_much.extra_kinds: chroma is no kind of feature; there are none yet"),
        ({"kinds": ["mfcc"]}, "too_much: kinds: mel is missing, which is always kept"),
        ({"extra_kinds": ["mfcc_delta"]}, "too_much: extra_kinds: mfcc_delta follows from the other parameters"),
    ],
)
def test_impossible_feature_set_is_refused_with_file_and_key(tmp_path: Path, changes: dict, said: str) -> None:
    for section in SECTIONS:
        shutil.copy(PACKAGED / f"{section}.yaml", tmp_path)
    path = tmp_path / "feature_sets.yaml"
    entries = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(entries | {"too_much": entries["mel64_8k"] | changes}))
    with pytest.raises(CatalogError) as error:
        load_catalog(tmp_path)
    assert f"{path}: {said}" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
