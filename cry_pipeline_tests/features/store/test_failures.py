"""Recordings without features: known with their reason, in the way of nobody, and tried again."""

import logging
from collections.abc import Callable

import pandas as pd
import pytest

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.coverage import coverage_of
from cry_pipeline.features.store.failures import note_failures
from cry_pipeline.features.store.rows import FeatureStoreError, samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import folder_of, reopened

Note = Callable[..., None]


@pytest.fixture
def note(store: FeatureStore) -> Note:
    """``note(tried, **failed)``: note what came of recordings."""

    def act(tried: str, **failed: str) -> None:
        keys = dict(zip(failed, store.keys(failed), strict=True))
        note_failures(store.storage, store.keys(tried), {keys[name]: reason for name, reason in failed.items()})

    return act


def test_failures_are_kept_with_their_reasons_until_they_are_none(store: FeatureStore, make_rows, note: Note) -> None:
    assert store.failures() == {}
    note("abc", b="is too short", c="has changed")
    assert reopened(store).failures() == {"b": "is too short", "c": "has changed"}
    note("d", d="is no sound")  # b and c were not tried
    assert set(store.failures()) == {"b", "c", "d"}
    note("bc", c="has changed again")
    assert store.failures() == {"c": "has changed again", "d": "is no sound"}
    store.write(make_rows(d=3))  # by another process, which has not noted it yet
    assert set(store.failures()) == {"c"}


def test_failure_of_other_samples_is_no_failure(store: FeatureStore, note: Note) -> None:
    note("a", a="is too short")
    assert store.of({"a": "other samples"}).failures() == {}
    assert store.of({"b": "0"}).failures() == {}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"failed": [1], "format": 1}', None])
def test_damaged_record_is_said_and_counts_as_none(
    store: FeatureStore, note: Note, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    note("ab", a="is too short", b="is no sound")
    path = folder_of(store) / "failures.json"
    path.write_bytes(path.read_bytes().replace(b"short", b"shirt") if content is None else content)
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        assert store.failures() == {}
    assert "failures.json is not what was written" in caplog.text
    assert list(verify(store).faults) == ["failures.json"]
    assert verify(store).faults == {}
    note("a", a="is too short")
    assert store.failures() == {"a": "is too short"}
    assert verify(store).faults == {}


def test_manifest_of_before_is_named_with_what_to_do() -> None:
    with pytest.raises(FeatureStoreError, match="says nothing about decoded samples: materialize manifests/recordings"):
        samples_of(pd.DataFrame({"recording_id": ["a"]}))


def test_failures_are_covered_and_what_nobody_tried_is_not(store: FeatureStore, make_rows, note: Note) -> None:
    store.write(make_rows(a=3, b=2, c=1))
    assert (coverage_of(store, "abc").ok, coverage_of(store, "abc").sentence) == (True, "")
    assert not coverage_of(store, "abcd").ok
    assert "1 of 4 recordings have no features yet, among them d: materialize" in coverage_of(store, "abcd").sentence
    note("d", d="is too short")
    covered = coverage_of(store, "abcd")
    assert (covered.ok, covered.failed, covered.missing) == (True, {"d": "is too short"}, [])
    assert "1 of 4 recordings cannot be featurized and are left out" in covered.sentence
    assert "among them d: is too short" in covered.sentence
    assert coverage_of(store, "abcde").missing == ["e"]


def test_feature_set_that_most_recordings_lack_is_not_covered(store: FeatureStore, make_rows, note: Note) -> None:
    store.write(make_rows(a=3, b=2))
    note("cde", c="is too short", d="is too short", e="is too short")
    assert coverage_of(store, "abcd").ok
    assert not coverage_of(store, "abcde").ok
