from dataclasses import replace

import numpy as np
import pytest

from cry_pipeline import keys
from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import feature_set_digest, frequencies_hz
from cry_pipeline.features.store.rows import FeatureStoreError, all_finite, check_rows


def test_rows_of_a_recording_are_its_own(make_rows) -> None:
    rows = make_rows(a=3, b=5)
    alone = make_rows(a=3)
    for kind in rows.arrays:
        np.testing.assert_array_equal(rows.of(kind, 0), alone.of(kind, 0))
    assert rows.of("mel", 1).shape == (5, 8)
    assert rows.of("statistics", 1).ndim == 1
    assert rows.frames.tolist() == [3, 5]


@pytest.mark.parametrize("kind", ["spectrogram", "mel", "mfcc", "statistics"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(make_rows, spec: FeatureSetSpec, kind: str, bad: float) -> None:
    rows = make_rows(a=3, b=5)
    rows.arrays[kind][1, 1] = bad
    with pytest.raises(FeatureStoreError, match=f"{kind} holds values that are not finite"):
        check_rows(rows, spec)


def test_rows_that_do_not_fit_the_feature_set_are_refused(make_rows, spec: FeatureSetSpec) -> None:
    rows = make_rows(a=3, b=5)
    arrays = rows.arrays
    wrong = {
        "each named once": replace(rows, recording_ids=("a", "a"), samples_digests=("1", "1")),
        "at least one": replace(rows, recording_ids=(), samples_digests=(), offsets=np.zeros(1, np.int64)),
        "need the samples_digest": replace(rows, samples_digests=()),
        "samples_digest of each": replace(rows, samples_digests=("1", "")),
        "must be int64": replace(rows, offsets=np.array([0, 3])),
        "and rise": replace(rows, offsets=np.array([0, 0, 8])),
        "hold mel": replace(rows, arrays={"mel": arrays["mel"]}),
        "mel must be float16": replace(rows, arrays=arrays | {"mel": arrays["mel"].astype(np.float32)}),
        "mfcc must be float32": replace(rows, arrays=arrays | {"mfcc": arrays["mfcc"][:, :-1]}),
        "spectrogram must be": replace(rows, arrays=arrays | {"spectrogram": arrays["spectrogram"][:-1]}),
        "statistics must be": replace(rows, arrays=arrays | {"statistics": arrays["statistics"][:1]}),
    }
    check_rows(rows, spec)
    for message, bad in wrong.items():
        with pytest.raises(FeatureStoreError, match=message):
            check_rows(bad, spec)


def test_digest_follows_parameters_but_not_the_description(spec: FeatureSetSpec) -> None:
    before = feature_set_digest(spec)
    assert feature_set_digest(spec.model_copy(update={"description": "other words"})) == before
    assert feature_set_digest(spec.model_copy(update={"mfcc": spec.mfcc + 1})) != before


def test_digest_follows_the_revision_of_what_kinds_have_in_common(
    spec: FeatureSetSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = feature_set_digest(spec)
    monkeypatch.setitem(keys.STAGES, "feature_set", replace(keys.STAGES["feature_set"], revision=10**6))
    assert feature_set_digest(spec) != before


def test_digest_follows_the_resamplers_version_and_not_the_decoders(
    spec: FeatureSetSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, version = feature_set_digest(spec), keys._version
    monkeypatch.setattr(keys, "_version", lambda name: "99" if name in ("av", "torch") else version(name))
    assert feature_set_digest(spec) == before
    monkeypatch.setattr(keys, "_version", lambda name: "99" if name == "soxr" else version(name))
    assert feature_set_digest(spec) != before


def test_frequencies_are_those_of_bins_and_mels(spec: FeatureSetSpec) -> None:
    assert frequencies_hz(spec, "spectrogram")[[0, 1, -1]].tolist() == [0, 125, 4000]
    mels = frequencies_hz(spec.model_copy(update={"mel_scale": "htk"}), "mel")
    steps = np.diff(2595 * np.log10(1 + mels / 700))  # the HTK scale's own formula
    assert len(mels) == spec.mels
    np.testing.assert_allclose(steps, 2595 * np.log10(1 + 4000 / 700) / (spec.mels + 1))
    with pytest.raises(ValueError, match="mfcc has no frequency axis"):
        frequencies_hz(spec, "mfcc")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_is_noticed_wherever_it_stands(dtype: str, value: float) -> None:
    array = np.array([[0.0, -0.0, 6e-8], [-65504, 65504, -100]], dtype)
    assert all_finite(array)
    for place in np.ndindex(array.shape):
        damaged = array.copy()
        damaged[place] = value
        assert not all_finite(damaged)
    assert all_finite(array[:0])
