"""Recordings become parts: what is missing is computed, once for all feature sets, and side by side."""

import hashlib
import threading
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.decoding import Audio, load_samples
from cry_pipeline.features import extraction, filling, loading
from cry_pipeline.features.computing import FeatureSetComputer, FeatureTransform, padded
from cry_pipeline.features.extraction import extract, extract_all
from cry_pipeline.features.kinds import KINDS
from cry_pipeline.features.pooling import StatisticsPool, statistics_names
from cry_pipeline.features.store import encoding
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import bound, folder_of


def test_features_are_the_transforms_of_the_decoded_samples(corpus_of, store: FeatureStore) -> None:
    recordings, roots = corpus_of(5)
    report = extract(recordings, roots, store, workers=2)
    rows = bound(store, recordings).read(list(recordings["recording_id"]), store.kinds)
    assert (report.computed, report.reused, report.failed) == (5, 0, {})
    assert report.frames == rows.offsets[-1]
    assert report.bytes == rows.nbytes
    assert report.seconds > 0
    transform, pool = FeatureTransform(store.spec), StatisticsPool(store.spec)
    for index, path in enumerate(recordings["path"]):
        samples = load_samples(roots.corpus / path, 8000)
        alone = {kind: values[0].numpy() for kind, values in transform(*padded([samples]))._asdict().items()}
        assert rows.frames[index] == store.spec.frames(len(samples))
        for kind, values in {**alone, "statistics": pool(**alone)}.items():
            expected = values.astype(KINDS[kind].dtype)
            tolerance = 0.07 if expected.dtype == np.float16 else 1e-3  # a rounding may fall the other way
            np.testing.assert_allclose(rows.of(kind, index), expected, rtol=1e-4, atol=tolerance, err_msg=kind)
    assert len(statistics_names(store.spec)) == rows.arrays["statistics"].shape[1]


def test_samples_are_resampled_to_the_feature_sets_rate(corpus_of, spec: FeatureSetSpec, tmp_path: Path) -> None:
    recordings, roots = corpus_of(1)
    store = FeatureStore.open(tmp_path / "features", spec.model_copy(update={"sample_rate_hz": 16_000}))
    extract(recordings, roots, store)
    samples = len(load_samples(roots.corpus / recordings["path"][0], 8000))
    read = bound(store, recordings).read(list(recordings["recording_id"]), ["mel"])
    assert read.frames.tolist() == [1 + 2 * samples // 32]


@pytest.mark.parametrize(("device_samples", "batch_recordings"), [(1, 1), (10**6, 7)])
def test_batches_change_no_value(
    corpus_of, store: FeatureStore, tmp_path: Path, monkeypatch, device_samples: int, batch_recordings: int
) -> None:
    recordings, roots = corpus_of(9)
    extract(recordings, roots, store)
    monkeypatch.setitem(extraction.BATCH_SAMPLES, "cpu", device_samples)
    other = FeatureStore.open(tmp_path / "other", store.spec)
    extract(recordings, roots, other, workers=3, batch_recordings=batch_recordings)
    ids = list(recordings["recording_id"])
    expected, found = (bound(one, recordings).read(ids, store.kinds) for one in (store, other))
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    for kind in store.kinds:
        tolerance = 0.07 if kind in ("spectrogram", "mel") else 1e-3
        np.testing.assert_allclose(found.arrays[kind], expected.arrays[kind], rtol=1e-4, atol=tolerance)


def test_only_missing_recordings_are_decoded(corpus_of, store: FeatureStore, decoded: list[str]) -> None:
    recordings, roots = corpus_of(6)
    extract(recordings.iloc[[1, 3]], roots, store)
    ids = recordings["recording_id"].tolist()
    assert sorted(decoded) == sorted([ids[1], ids[3]])
    decoded.clear()
    report = extract(recordings, roots, store, workers=2)
    assert sorted(decoded) == sorted(set(ids) - {ids[1], ids[3]})
    assert (report.computed, report.reused) == (4, 2)
    decoded.clear()
    report = extract(recordings, roots, store)
    assert decoded == []
    assert (report.computed, report.reused, report.frames) == (0, 6, 0)


def test_other_parameters_are_computed_anew(corpus_of, store: FeatureStore, decoded: list[str]) -> None:
    recordings, roots = corpus_of(2)
    extract(recordings, roots, store)
    other = FeatureStore.open(folder_of(store).parent, store.spec.model_copy(update={"floor_db": -80.0}))
    assert extract(recordings, roots, other).computed == 2


def test_several_feature_sets_are_served_by_one_decode(
    corpus_of, store: FeatureStore, tmp_path: Path, decoded: list[str]
) -> None:
    recordings, roots = corpus_of(5)
    changes = [{"mels": 10}, {"sample_rate_hz": 16_000}]
    others = [FeatureStore.open(tmp_path / "features", store.spec.model_copy(update=change)) for change in changes]
    extract(recordings.iloc[:2], roots, others[0])
    decoded.clear()
    reports = extract_all(recordings, roots, [store, *others], workers=2)
    assert sorted(decoded) == sorted(recordings["recording_id"])
    assert [(report.computed, report.reused) for report in reports] == [(5, 0), (3, 2), (5, 0)]
    assert all(report.transform_cpu_s > 0 for report in reports)
    for index, each in enumerate([store, *others]):
        alone = FeatureStore.open(tmp_path / f"alone{index}", each.spec)
        extract(recordings, roots, alone)
        for kind in store.kinds:
            expected, found = (
                bound(one, recordings).read(list(recordings["recording_id"]), [kind]) for one in (alone, each)
            )
            tolerance = 0.07 if kind in ("spectrogram", "mel") else 1e-3  # other batches; a rounding may differ
            np.testing.assert_allclose(found.arrays[kind], expected.arrays[kind], rtol=1e-4, atol=tolerance)


def test_parts_committed_before_an_interruption_are_reused(
    corpus_of, store: FeatureStore, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(8)
    monkeypatch.setattr(filling, "PART_RECORDINGS", 3)
    counted, ids = loading.decode_bytes, recordings["recording_id"].tolist()

    def interrupted(data: bytes) -> Audio:
        if hashlib.sha256(data).hexdigest() == ids[7]:
            raise KeyboardInterrupt
        return counted(data)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "decode_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(recordings, roots, store, batch_recordings=1)
    kept = bound(store, recordings).recording_ids()
    assert kept >= set(ids[:3])
    decoded.clear()
    report = extract(recordings, roots, store)
    assert report.reused == len(kept)
    assert not kept & set(decoded)
    assert bound(store, recordings).missing(ids) == []


@pytest.mark.parametrize("bound", [{"PART_RECORDINGS": 2}, {"PART_BYTES": 1}])
def test_parts_are_of_bounded_size(corpus_of, store: FeatureStore, monkeypatch, bound: dict[str, int]) -> None:
    recordings, roots = corpus_of(5)
    for name, value in bound.items():
        monkeypatch.setattr(filling, name, value)
    extract(recordings, roots, store)
    assert store.info().parts == (3 if "PART_RECORDINGS" in bound else 5)


def test_torchs_threads_are_as_they_were(corpus_of, store: FeatureStore) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        recordings, roots = corpus_of(1)
        extract(recordings, roots, store)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("stage", ["decode", "compute"])
def test_as_many_work_at_a_time_as_there_are_workers(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    recordings, roots = corpus_of(4)
    together = threading.Barrier(2, timeout=30)
    real = {"decode": loading.decode_bytes, "compute": FeatureSetComputer.__call__}[stage]

    def meeting(*args):
        together.wait()
        return real(*args)

    if stage == "decode":
        monkeypatch.setattr(loading, "decode_bytes", meeting)
    else:
        monkeypatch.setattr(FeatureSetComputer, "__call__", meeting)
        monkeypatch.setitem(extraction.BATCH_SAMPLES, "cpu", 1)
    assert extract(recordings, roots, store, workers=2).computed == 4


def test_transforms_go_on_while_files_are_decoded_and_a_part_is_committed(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(6)
    together = threading.Barrier(2, timeout=30)
    write, compute = FeatureStore.write, FeatureSetComputer.__call__
    monkeypatch.setattr(filling, "PART_RECORDINGS", 2)
    monkeypatch.setitem(extraction.BATCH_SAMPLES, "cpu", 1)
    first = iter([True])
    computed = []

    def meeting(store: FeatureStore, rows: FeatureRows) -> str:
        if next(first, False):
            together.wait()
        return write(store, rows)

    def third(*args):
        computed.append(1)
        if len(computed) == 3:  # the first part, of two recordings, is then being committed
            together.wait()
        return compute(*args)

    monkeypatch.setattr(FeatureStore, "write", meeting)
    monkeypatch.setattr(FeatureSetComputer, "__call__", third)
    assert extract(recordings, roots, store).computed == 6


def test_decoding_does_not_run_away_from_a_slow_disk(
    corpus_of, store: FeatureStore, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(30)
    monkeypatch.setattr(filling, "PART_RECORDINGS", 1)
    monkeypatch.setitem(extraction.BATCH_SAMPLES, "cpu", 1)
    write, ahead = FeatureStore.write, []

    def slow(store: FeatureStore, rows: FeatureRows) -> str:
        before = -1
        while len(ahead) < 3 and len(decoded) > before:  # until decoding waits for us
            before = len(decoded)
            time.sleep(0.1)
        ahead.append(len(decoded) - len(ahead))
        return write(store, rows)

    monkeypatch.setattr(FeatureStore, "write", slow)
    extract(recordings, roots, store, workers=1, batch_recordings=2)
    assert max(ahead) <= 10, ahead  # in every place between a file and a part: one, or as many as were asked for


def test_part_says_which_libraries_made_it_and_a_compacted_one_too(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(2)
    extract(recordings.iloc[:1], roots, store)
    monkeypatch.setattr(encoding, "libraries", lambda: {"torch": "0.0"})
    extract(recordings.iloc[1:], roots, store)
    compact(store)
    (part,) = set(store.index.refresh().values())
    assert [made["torch"] for made in sorted(part.made_by, key=len)] == ["0.0", version("torch")]
    assert {"numpy", "torch", "librosa", "soxr", "av", "zarr"} <= max(part.made_by, key=len).keys()


def test_device_is_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "finds_gpu", lambda: True)
    assert [extraction.device_of(name) for name in ("auto", "cpu", "gpu")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(extraction, "finds_gpu", lambda: False)
    assert [extraction.device_of(name) for name in ("auto", "cpu", "mps")] == ["cpu", "cpu", "cpu"]
    with pytest.raises(ValueError, match="torch finds no GPU here"):
        extraction.device_of("gpu")
    monkeypatch.setattr(extraction.sys, "platform", "darwin")
    assert {extraction.device_of(name) for name in ("auto", "cpu", "gpu", "mps")} == {"cpu"}
