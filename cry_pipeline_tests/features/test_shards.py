"""Shards of an extraction: the same rows as by one process, each once, whoever dies."""

from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.engine import EngineError
from cry_pipeline.features import shards
from cry_pipeline.features.extraction import extract, extract_all
from cry_pipeline.features.shards import extract_shards
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.engine.elsewhere import Elsewhere
from cry_pipeline_tests.features.store.looks import bound


def test_shards_give_the_rows_of_one_process_each_once(
    corpus_of, spec: FeatureSetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "PART_RECORDINGS", 3)
    recordings, roots = corpus_of(13)
    (roots.corpus / recordings["path"][4]).unlink()
    specs = [spec, spec.model_copy(update={"mels": 6})]
    alone, together = ([FeatureStore.open(tmp_path / name, of) for of in specs] for name in ("alone", "together"))
    extract(recordings.iloc[:2], roots, together[0])
    expected = extract_all(recordings, roots, alone)
    reports = extract_shards(recordings, roots, together, Elsewhere())
    assert [(report.computed, report.reused) for report in reports] == [(10, 2), (12, 0)]
    ids = [name for name in recordings["recording_id"] if name not in expected[0].failed]
    for one, other in zip(alone, together, strict=True):
        one, other = bound(one, recordings), bound(other, recordings)
        assert one.data_version(ids) == other.data_version(ids)
        assert one.failures() == other.failures()
        assert len(other.failures()) == 1
        first, second = one.read(ids, one.kinds), other.read(ids, one.kinds)
        for kind in one.kinds:
            np.testing.assert_array_equal(first.arrays[kind], second.arrays[kind])
        held = [key for part in other.index.present.values() for key in part.rows]
        assert len(held) == len(set(held)) == 12, "an item done twice finds its rows there"
    again = extract_shards(recordings.drop(index=4), roots, together, Elsewhere())
    assert [(report.computed, report.reused) for report in again] == [(0, 12), (0, 12)]


def test_what_is_not_to_be_seen_here_is_said(corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings, roots = corpus_of(3)
    monkeypatch.setattr(FeatureStore, "write", lambda *_: "elsewhere")
    with pytest.raises(EngineError, match=r"3 recordings were written on other machines.*all nodes need"):
        extract_shards(recordings, roots, [store], Elsewhere())


@pytest.mark.parametrize(("recordings", "workers", "lengths"), [(10, 2, [5, 5]), (7, 3, [3, 3, 1]), (0, 2, [])])
def test_shards_are_equal_and_as_many_for_each_worker(
    recordings: int, workers: int, lengths: list[int], corpus_of
) -> None:
    table, _ = corpus_of(max(recordings, 1))
    table = table.iloc[:recordings]
    made = shards._shards(table, frozenset(table["recording_id"]), Elsewhere(workers))
    assert [len(shard) for shard in made] == lengths
