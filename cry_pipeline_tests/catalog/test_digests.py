"""Digests depend on what was said, not on how, and never on a description."""

import hashlib

import pytest

from cry_pipeline.catalog import canonical_json, digest, load_catalog


def test_digest_is_the_sha256_of_sorted_compact_json():
    expected = hashlib.sha256(b'{"inputs":["a"],"spec":{"x":1,"y":2}}').hexdigest()
    assert digest(spec={"y": 2, "x": 1}, inputs=["a"]) == expected


def test_not_a_number_is_refused_rather_than_written_as_something_json_is_not():
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"x": float("nan")})


def test_unknown_types_are_refused_rather_than_written_by_their_address():
    with pytest.raises(TypeError, match="object"):
        canonical_json({"x": object()})


def test_description_does_not_change_a_digest_and_every_parameter_does():
    spec = load_catalog().feature_sets["mel64_8k"]
    assert spec.model_copy(update={"description": "other"}).digest == spec.digest
    changed = {
        "sample_rate_hz": 16000, "n_fft": 512, "window_samples": 200, "hop_samples": 64, "window": "hann_symmetric",
        "padding": "zeros", "mels": 40, "mel_scale": "htk", "fmin_hz": 20.0, "fmax_hz": 3000.0, "mfcc": 13,
        "floor_db": -90.0, "center": False, "mfcc_deltas": 1, "reference": "one", "extra_kinds": ("chroma",),
    }  # fmt: skip
    assert set(changed) == set(type(spec).model_fields) - {"description"}
    digests = {spec.model_copy(update={field: value}).digest for field, value in changed.items()}
    assert len(digests | {spec.digest}) == len(changed) + 1
