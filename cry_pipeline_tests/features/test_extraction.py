import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.decoding import Audio, decode_bytes, load_samples
from cry_pipeline.corpus.probing import samples_digest
from cry_pipeline.corpus.sources import Roots, SourceError
from cry_pipeline.features import extraction, loading
from cry_pipeline.features.batching import padded
from cry_pipeline.features.computing import FeatureSetComputer, FeatureTransform
from cry_pipeline.features.extraction import extract, extract_all
from cry_pipeline.features.kinds import KINDS
from cry_pipeline.features.pooling import StatisticsPool, statistics_names
from cry_pipeline.features.store import encoding
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.rows import FeatureRows, FeatureStoreError, samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests import stated
from cry_pipeline_tests.features.store.looks import folder_of
from cry_pipeline_tests.stated import manifest_of


@pytest.fixture
def corpus_of(tmp_path: Path) -> Callable[..., tuple[pd.DataFrame, Roots]]:
    """``corpus_of(12)``: so many recordings of 1 to 2 s at 8 kHz, and of a manifest what extraction reads."""

    def make(count: int) -> tuple[pd.DataFrame, Roots]:
        rng = np.random.default_rng(0)
        (tmp_path / "corpus").mkdir(exist_ok=True)
        names = [f"recording{index:03d}" for index in range(count)]
        for name in names:
            samples = rng.uniform(-0.5, 0.5, int(rng.integers(8000, 16_000)))
            soundfile.write(tmp_path / "corpus" / f"{name}.wav", samples, 8000, "PCM_16")
        manifest = manifest_of(tmp_path / "corpus", [f"{name}.wav" for name in names])
        return manifest, Roots(tmp_path / "corpus")

    return make


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the recordings decoded, in order of time."""
    ids: list[str] = []

    def count(data: bytes) -> Audio:
        ids.append(hashlib.sha256(data).hexdigest())
        return decode_bytes(data)

    monkeypatch.setattr(loading, "decode_bytes", count)
    return ids


def bound(store: FeatureStore, recordings: pd.DataFrame) -> FeatureStore:
    """The store as the manifest's readers see it."""
    return store.of(samples_of(recordings))


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


def test_a_bad_recording_fails_in_those_feature_sets_that_lack_it(
    corpus_of, store: FeatureStore, tmp_path: Path
) -> None:
    recordings, roots = corpus_of(2)
    extract(recordings, roots, store)
    (roots.corpus / "recording001.wav").write_bytes(b"this is no sound")
    other = FeatureStore.open(tmp_path / "features", store.spec.model_copy(update={"mels": 10}))
    complete, lacking = extract_all(recordings, roots, [store, other])
    assert (complete.computed, complete.reused, complete.failed) == (0, 2, {})
    assert (lacking.computed, set(lacking.failed)) == (1, {recordings["recording_id"][1]})


def test_a_part_that_cannot_be_kept_stops_everything(corpus_of, store: FeatureStore, monkeypatch) -> None:
    recordings, roots = corpus_of(4)
    monkeypatch.setattr(extraction, "PART_RECORDINGS", 1)

    def full(store: FeatureStore, rows: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FeatureStore, "write", full)
    with pytest.raises(OSError, match="No space left"):
        extract(recordings, roots, store)


def test_a_bad_recording_fails_with_its_reason_and_the_others_go_on(corpus_of, store: FeatureStore) -> None:
    recordings, roots = corpus_of(6)
    (roots.corpus / "recording001.wav").write_bytes(b"this is no sound")
    recordings = manifest_of(roots.corpus, recordings["path"])
    (roots.corpus / "recording004.wav").unlink()
    bad, gone = recordings["recording_id"][1], recordings["recording_id"][4]
    report = extract(recordings, roots, store, workers=2, batch_recordings=2)
    assert report.computed == 4
    assert set(report.failed) == {bad, gone}
    assert "recording001.wav cannot be read by libav: Invalid data" in report.failed[bad]
    assert "recording004.wav cannot be read any more (No such file" in report.failed[gone]
    assert bound(store, recordings).missing(recordings["recording_id"]) == [bad, gone]
    assert bound(store, recordings).failures() == report.failed


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, 1e30])
def test_features_that_are_not_finite_fail_alone(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    recordings, roots = corpus_of(4)

    def spoilt(data: bytes) -> Audio:
        audio = decode_bytes(data)
        if hashlib.sha256(data).hexdigest() == recordings["recording_id"][2]:
            audio.samples[500] = bad
        return audio

    monkeypatch.setattr(loading, "decode_bytes", spoilt)
    monkeypatch.setattr(loading, "samples_digest", lambda _: "any")
    monkeypatch.setitem(extraction.BATCH_SAMPLES, "cpu", 10**6)  # all in one batch
    report = extract(recordings.assign(samples_digest="any"), roots, store)
    assert report.computed == 3
    assert "not finite" in report.failed[recordings["recording_id"][2]]


def test_recording_shorter_than_a_frame_fails_where_frames_are_not_centred(
    corpus_of, store: FeatureStore, spec: FeatureSetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(3)
    soundfile.write(roots.corpus / "recording001.wav", np.zeros(63), 8000, "PCM_16")
    recordings = manifest_of(roots.corpus, recordings["path"])
    ids = recordings["recording_id"].tolist()
    monkeypatch.setitem(extraction.BATCH_SAMPLES, "cpu", 10**6)  # all in one batch
    bare = FeatureStore.open(tmp_path / "bare", spec.model_copy(update={"center": False}))
    centred, report = extract_all(recordings, roots, [store, bare])
    assert (centred.computed, report.computed) == (3, 2)
    assert report.failed == {ids[1]: "has 63 samples at 8000 Hz, fewer than one frame: 64"}
    samples = len(load_samples(roots.corpus / "recording000.wav", 8000))
    assert bound(bare, recordings).read(ids[:1], ["mel"]).frames.tolist() == [1 + (samples - 64) // 32]


def test_recording_without_samples_fails(corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings, roots = corpus_of(1)
    nothing = np.empty(0, np.float32)
    monkeypatch.setattr(loading, "decode_bytes", lambda data: Audio(nothing, 8000, "pcm", 1))
    recordings["samples_digest"] = samples_digest(nothing)
    assert list(extract(recordings, roots, store).failed.values()) == ["recording000.wav holds no samples"]


def test_recording_that_is_shorter_than_a_sample_of_the_feature_set_fails_alone(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(2)
    blip = np.zeros(5, np.float32)

    def short(data: bytes) -> Audio:
        if hashlib.sha256(data).hexdigest() == recordings["recording_id"][0]:
            return Audio(blip, 192_000, "pcm", 1)
        return decode_bytes(data)

    monkeypatch.setattr(loading, "decode_bytes", short)
    recordings.loc[0, "samples_digest"] = samples_digest(blip)
    report = extract(recordings, roots, store)
    assert report.computed == 1
    assert report.failed == {recordings["recording_id"][0]: "has 0 samples at 8000 Hz, fewer than one frame: 64"}


def test_parts_committed_before_an_interruption_are_reused(
    corpus_of, store: FeatureStore, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(8)
    monkeypatch.setattr(extraction, "PART_RECORDINGS", 3)
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
        monkeypatch.setattr(extraction, name, value)
    extract(recordings, roots, store)
    assert store.info().parts == (3 if "PART_RECORDINGS" in bound else 5)


def test_a_root_that_is_not_there_stops_everything(corpus_of, store: FeatureStore) -> None:
    recordings, roots = corpus_of(2)
    with pytest.raises(SourceError, match="no root 'inbox'"):
        extract(recordings.assign(root="inbox"), roots, store)


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
    monkeypatch.setattr(extraction, "PART_RECORDINGS", 2)
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
    monkeypatch.setattr(extraction, "PART_RECORDINGS", 1)
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


@pytest.mark.parametrize("when", ["before", "again"])
def test_file_replaced_since_the_manifest_is_not_stored_under_its_old_name(
    corpus_of, store: FeatureStore, when: str
) -> None:
    recordings, roots = corpus_of(2)
    own, path = recordings["recording_id"][0], roots.corpus / "recording000.wav"
    original = path.read_bytes()
    path.write_bytes((roots.corpus / "recording001.wav").read_bytes())
    report = extract(recordings, roots, store)
    assert (report.computed, list(report.failed)) == (1, [own])
    assert "recording000.wav has changed since the manifest was made: take the inventory again" in report.failed[own]
    reader = bound(store, recordings)
    assert reader.missing(recordings["recording_id"]) == [own]
    assert reader.failures() == report.failed
    if when == "again":
        path.write_bytes(original)
        report = extract(recordings, roots, store)
        assert (report.computed, report.reused, report.failed) == (1, 1, {})
        assert reader.failures() == {}


def test_decoder_that_gives_other_samples_makes_other_rows_and_the_old_are_never_given(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, roots = corpus_of(2)
    own = recordings["recording_id"][0]
    extract(recordings, roots, store)
    before = bound(store, recordings)
    old, version = before.read([own], store.kinds), before.data_version(recordings["recording_id"])

    def louder(data: bytes) -> Audio:
        audio = decode_bytes(data)
        return replace(audio, samples=audio.samples * (2 if hashlib.sha256(data).hexdigest() == own else 1))

    monkeypatch.setattr(loading, "decode_bytes", louder)
    monkeypatch.setattr(stated, "decode_bytes", louder)
    anew = manifest_of(roots.corpus, recordings["path"])
    after = bound(store, anew)
    assert after.missing(anew["recording_id"]) == [own]
    with pytest.raises(FeatureStoreError, match=f"1 of 2 recordings have no features here, among them {own}"):
        after.read(anew["recording_id"].tolist(), ["mel"])
    report = extract(anew, roots, store)
    assert (report.computed, report.reused) == (1, 1)
    change = after.read([own], ["spectrogram"]).arrays["spectrogram"] - old.arrays["spectrogram"]
    assert np.median(change) == pytest.approx(6.02, abs=0.1)
    assert after.data_version(anew["recording_id"]) != version
    # Whoever still has the manifest of before reads what it states.
    np.testing.assert_array_equal(before.read([own], ["mel"]).arrays["mel"], old.arrays["mel"])
    assert before.data_version(recordings["recording_id"]) == version
    compact(store)
    np.testing.assert_array_equal(before.read([own], ["mel"]).arrays["mel"], old.arrays["mel"])
    assert after.missing(anew["recording_id"]) == []


def test_samples_that_are_not_the_manifests_are_not_stored(corpus_of, store: FeatureStore) -> None:
    recordings, roots = corpus_of(2)
    recordings.loc[0, "samples_digest"] = "0" * 64
    report = extract(recordings, roots, store)
    assert report.computed == 1
    assert list(report.failed) == [recordings["recording_id"][0]]
    assert "other samples than the manifest states" in report.failed[recordings["recording_id"][0]]


@pytest.mark.parametrize("error", [IndexError("tuple index out of range"), MemoryError(), RecursionError()])
def test_whatever_a_file_does_to_the_decoder_is_its_own_fault(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    recordings, roots = corpus_of(3)

    def stumbling(data: bytes) -> Audio:
        if hashlib.sha256(data).hexdigest() == recordings["recording_id"][1]:
            raise error
        return decode_bytes(data)

    monkeypatch.setattr(loading, "decode_bytes", stumbling)
    report = extract(recordings, roots, store)
    assert report.computed == 2
    assert type(error).__name__ in report.failed[recordings["recording_id"][1]]


def test_pipe_in_the_place_of_a_file_is_not_waited_for(corpus_of, store: FeatureStore) -> None:
    recordings, roots = corpus_of(2)
    (roots.corpus / "recording000.wav").unlink()
    os.mkfifo(roots.corpus / "recording000.wav")
    report = extract(recordings, roots, store)
    assert "is a pipe" in report.failed[recordings["recording_id"][0]]


def test_folder_that_is_not_there_is_no_fault_of_each_recording(corpus_of, store: FeatureStore) -> None:
    recordings, roots = corpus_of(2)
    roots.corpus.rename(roots.corpus.with_name("unmounted"))
    with pytest.raises(SourceError, match="corpus is not there"):
        extract(recordings, roots, store)


@pytest.mark.parametrize("damage", ["lost chunk", "cut chunk", "part.json", "lost part.json"])
def test_part_that_is_seen_to_be_damaged_is_set_aside_and_its_rows_computed_anew(
    corpus_of, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    recordings, roots = corpus_of(4)
    monkeypatch.setattr(extraction, "PART_RECORDINGS", 2)
    extract(recordings, roots, store)
    reader = bound(store, recordings)
    before = reader.read(list(recordings["recording_id"]), store.kinds)
    name = store.snapshot().parts[0]
    path = folder_of(store) / "parts" / name / ("part.json" if "part" in damage else "mel/c.0.0")
    path.unlink() if "lost" in damage else path.write_bytes(path.read_bytes()[:-1])
    report = extract(recordings, roots, store)
    assert (report.computed, report.reused, list(report.set_aside)) == (2, 2, [name])
    assert path.name in report.set_aside[name]
    assert (folder_of(store) / "quarantine" / name).is_dir()
    after = reader.read(list(recordings["recording_id"]), store.kinds)
    for kind in store.kinds:
        np.testing.assert_allclose(after.arrays[kind], before.arrays[kind], atol=0.07)
    assert extract(recordings, roots, store).set_aside == {}


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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [extraction.device_of(name) for name in ("auto", "cpu", "gpu")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [extraction.device_of(name) for name in ("auto", "cpu", "mps")] == ["cpu", "cpu", "cpu"]
    with pytest.raises(ValueError, match="torch finds no GPU here"):
        extraction.device_of("gpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert {extraction.device_of(name) for name in ("auto", "cpu", "gpu", "mps")} == {"cpu"}
