"""Digests depend on what was said, not on how, and never on a description."""

import hashlib
from typing import Any

import pandas as pd
import pytest
from pydantic import Field

from cry_pipeline import digests
from cry_pipeline.catalog import canonical_json, digest, load_catalog
from cry_pipeline.catalog.base import Spec, neutral
from cry_pipeline.catalog.models import EnsembleSpec
from cry_pipeline.catalog.networks import NetworkSpec


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
    assert spec.model_copy(update={"description": "other", "compression": "zstd"}).digest == spec.digest
    changed = {
        "sample_rate_hz": 16000, "n_fft": 512, "window_samples": 200, "hop_samples": 64, "window": "hann_symmetric",
        "padding": "zeros", "mels": 40, "mel_scale": "htk", "fmin_hz": 20.0, "fmax_hz": 3000.0, "mfcc": 13,
        "floor_db": -90.0, "center": False, "mfcc_deltas": 1, "reference": "one", "extra_kinds": ("chroma",),
            "kinds": ("mel", "mfcc"),
    }  # fmt: skip
    assert set(changed) == set(type(spec).model_fields) - {"description", "compression"}
    digests = {spec.model_copy(update={field: value}).digest for field, value in changed.items()}
    assert len(digests | {spec.digest}) == len(changed) + 1


def test_a_description_does_not_count_at_any_depth():
    models = load_catalog().models
    network = models["lfeb_augmented"]
    assert isinstance(network, NetworkSpec)
    reworded = network.augmentation.model_copy(update={"description": "other"})
    assert network.model_copy(update={"augmentation": reworded}).digest == network.digest
    ensemble = models["lfeb_and_svm_covariance"]
    assert isinstance(ensemble, EnsembleSpec)
    first, *rest = ensemble.specs
    assert isinstance(first, NetworkSpec)
    reworded = first.model_copy(update={"augmentation": reworded, "description": "other"})
    assert ensemble.model_copy(update={"specs": (reworded, *rest)}).digest != ensemble.digest  # another augmentation
    reworded = first.model_copy(
        update={"augmentation": first.augmentation.model_copy(update={"description": "o"}), "description": "o"}
    )
    assert ensemble.model_copy(update={"specs": (reworded, *rest)}).digest == ensemble.digest
    assert canonical_json({"x": network}) == canonical_json({"x": network.parts})


class Inner(Spec):
    size: int = 1


class Before(Spec):
    """An entry as it was when digests were made."""

    inner: Inner = Inner()
    names: tuple[str, ...] = ("a",)


def test_a_field_added_with_its_neutral_value_keeps_digests_and_any_other_value_shows():
    class Wider(Inner):
        depth: int = Field(default=0, json_schema_extra=neutral(0))

    class Added(Spec):
        inner: Wider = Wider()
        names: tuple[str, ...] = ("a",)
        flag: bool = Field(default=False, json_schema_extra=neutral(False))

    assert Added().digest == Before().digest
    digests = {Added(flag=True).digest, Added(inner=Wider(depth=2)).digest, Added(inner=Wider(size=2)).digest}
    assert len(digests | {Added().digest}) == 4


def test_a_field_that_is_not_marked_changes_all_digests():
    class Added(Before):
        flag: bool = False

    assert Added().digest != Before().digest


def test_a_default_changed_later_shows_though_the_old_one_was_neutral():
    class Changed(Before):
        flag: int = Field(default=1, json_schema_extra=neutral(0))

    assert Changed().digest != Before().digest
    assert Changed(flag=0).digest == Before().digest
    assert Changed(flag=1).digest == Changed().digest


@pytest.mark.parametrize(("own", "like"), [(False, 0), (0, False), (1.0, 1)])
def test_a_neutral_value_is_of_one_type(own: Any, like: Any):
    class Added(Before):
        flag: Any = Field(default=own, json_schema_extra=neutral(like))

    assert "flag" in Added().parts


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 9])
def test_digest_of_rows_is_that_of_all_rows_at_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "ROWS_AT_ONCE", 4)
    table = pd.DataFrame(
        {
            "text": pd.Series(["ü", None, ""] * 3, dtype="string[pyarrow]"),
            "whole": pd.Series([1, None, -2] * 3, dtype="Int64"),
            "flag": pd.Series([True, None, False] * 3, dtype="boolean"),
            "number": [0.1, float("nan"), 3.0] * 3,
        }
    )[:rows]
    plain = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    assert digests.rows_digest(table) == digests.digest(columns=list(table), rows=plain)
