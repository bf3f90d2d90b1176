"""Golden guards of revisions: code that gives other values must live under another digest.

Each expected value was written down under the revision beside it. Where one differs, either the change was meant: raise
the revision that the message names, and write the new values down; or it was not: mend the code. Values are compared so
roughly that neither Python, a library's minor version nor other SIMD instructions are noticed, and so sharply that no
change of a formula is missed.
"""

import math

import numpy as np
import pytest
import torch

from cry_pipeline import keys
from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.decoding import resample
from cry_pipeline.features.computing import FeatureSetComputer
from cry_pipeline.features.hybrid import RowStandardiser, hybrid_images
from cry_pipeline.features.kinds import KINDS, kinds_of, parameters
from cry_pipeline.features.store.rows import FeatureRows, stack_rows

PLAIN = FeatureSetSpec.model_validate(
    {
        "sample_rate_hz": 8000,
        "n_fft": 128,
        "window_samples": 100,
        "hop_samples": 60,
        "mels": 16,
        "fmin_hz": 100.0,
        "fmax_hz": 3900.0,
        "mfcc": 6,
        "mfcc_deltas": 2,
    }
)
ODD = FeatureSetSpec.model_validate(
    parameters(PLAIN)
    | {"n_fft": 135, "window": "hann_symmetric", "padding": "zeros", "mel_scale": "htk", "reference": "one"}
)
NOT_CENTRED = FeatureSetSpec.model_validate(parameters(PLAIN) | {"center": False, "floor_db": -70.0})
KIND_VALUES: dict[str, tuple[int, list[float]]] = {
    "spectrogram": (1, [-4.570426, -4.574483, -4.571019, -4.572554, -4.572572, -4.570816, -4.570519]),
    "mel": (1, [-4.701371, -4.694039, -4.697942, -4.698155, -4.695253, -4.698929, -4.696379]),
    "mfcc": (1, [-1.019341, -0.992308, -0.970928, -0.950827, -0.994123, -1.028288, -0.843553]),
    "statistics": (1, [-0.432081, -0.616758, -0.503587, -0.631208, -0.426437, -0.480955, -0.461613]),
    "mfcc_delta": (1, [-0.017188, -0.012142, -0.010713, 0.080438, -0.019637, 0.014097, -0.028393]),
}
COMMON_REVISION = 3
COMMON_VALUES: dict[str, list[float]] = {
    "resampled": [-4.612570, -4.614821, -4.611434, -4.611701, -4.612186, -4.611898, -4.611416],
    "odd": [-2.983415, -2.982083, -2.986715, -2.982316, -2.990176, -3.013815, -2.980801],
    "not_centred": [-4.576786, -4.577013, -4.575664, -4.574306, -4.573334, -4.574019, -4.573728],
}
HYBRID_VALUES: list[float] = [
    -3.545142,
    -3.542181,
    -3.530266,
    -3.547176,
    -3.540069,
    -3.516658,
    -3.549685,
    0.670237,
    0.671973,
    0.665105,
    0.668884,
    0.670100,
    0.663161,
    0.667127,
]


def cry(rate_hz: int, seconds: float = 0.4) -> np.ndarray:
    """A voice that glides from 350 to 550 Hz, with partials, a pause and a noise that every machine makes alike."""
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    phase = 2 * np.pi * (350 * time + 250 * time**2)
    voice = sum(np.sin(order * phase) / order for order in range(1, 6))
    noise = np.sin(1e4 * np.sin(np.arange(len(time)) * 12.9898))
    return (0.2 * voice * (np.abs(time - 0.25) > 0.03) + 0.004 * noise).astype(np.float32)


def values_of(spec: FeatureSetSpec, samples: np.ndarray) -> dict[str, np.ndarray]:
    torch.set_num_threads(1)
    (values,) = FeatureSetComputer(spec)([samples])
    assert values is not None
    return values


def digits(array: np.ndarray) -> list[float]:
    """A few numbers that no change leaves alone: seven means, weighted by each position, of values made comparable."""
    flat = np.arcsinh(array.astype(np.float64).ravel())  # Hz and shares stand side by side in the statistics
    place = np.arange(len(flat))
    return [float(np.mean(flat * (1 + np.sin(place * math.sqrt(prime))))) for prime in (2, 3, 5, 7, 11, 13, 17)]


def assert_values(found: list[float], expected: list[float], raise_what: str, tolerance: float = 5e-5) -> None:
    scale = max(map(abs, expected), default=0)
    if len(found) != len(expected) or not np.allclose(found, expected, rtol=0, atol=tolerance * scale):
        rounded = [round(value, 6) for value in found]
        pytest.fail(f"values changed: raise {raise_what} and write {rounded} down here, or say why not")


@pytest.mark.parametrize("name", KINDS)
def test_values_of_a_kind_change_only_with_its_revision(name: str) -> None:
    assert name in KIND_VALUES, f"write down values of the kind {name}: {digits(values_of(PLAIN, cry(8000))[name])}"
    revision, expected = KIND_VALUES[name]
    where = f"`revision` of the kind {name} (features/kinds/)"
    assert KINDS[name].revision == revision, f"{where} was raised: write the values of today down beside it"
    found = digits(values_of(PLAIN, cry(8000))[name])
    # Whether a frame counts as voiced, or which lag is the highest, may turn on a last bit.
    assert_values(found, expected, where, 2e-4 if name == "statistics" else 5e-5)


def test_every_kind_is_guarded() -> None:
    assert kinds_of(PLAIN).keys() == KINDS.keys() == KIND_VALUES.keys()


@pytest.mark.parametrize("name", ["resampled", "odd", "not_centred"])
def test_what_kinds_have_in_common_changes_only_with_its_revision(name: str) -> None:
    spec = {"resampled": PLAIN, "odd": ODD, "not_centred": NOT_CENTRED}[name]
    samples = resample(cry(22_050), 22_050, 8000) if name == "resampled" else cry(8000)
    where = '`revision` of the stage "feature_set" (keys.py)'
    assert keys.STAGES["feature_set"].revision == COMMON_REVISION, f"{where} was raised: write down today's values"
    assert_values(digits(values_of(spec, samples)["spectrogram"]), COMMON_VALUES[name], where)


def test_values_of_the_hybrid_image_change_only_with_the_revisions_of_what_sees_it() -> None:
    values = values_of(PLAIN, cry(8000))
    rows: FeatureRows = stack_rows({"a": {kind: values[kind] for kind in ("spectrogram", "mel", "mfcc")}})
    images, lengths = hybrid_images(rows, bins=10, frame_pool=3)
    standardised = RowStandardiser.fit(images, lengths).apply(images, lengths)
    found = digits(images.numpy()) + digits(np.abs(standardised.numpy()))
    where = "the revisions of the networks (training/registry.py), which see this image,"
    assert_values(found, HYBRID_VALUES, where)
