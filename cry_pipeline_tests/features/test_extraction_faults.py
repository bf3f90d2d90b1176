"""What is wrong with a recording, a file or a part costs that one, is told, and leaves no wrong row."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.decoding import Audio, decode_bytes, load_samples
from cry_pipeline.corpus.probing import samples_digest
from cry_pipeline.corpus.sources import SourceError
from cry_pipeline.features import extraction, filling, loading
from cry_pipeline.features.extraction import extract, extract_all
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests import stated
from cry_pipeline_tests.features.store.looks import bound, folder_of
from cry_pipeline_tests.stated import manifest_of


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
    monkeypatch.setattr(filling, "PART_RECORDINGS", 1)

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


def test_a_root_that_is_not_there_stops_everything(corpus_of, store: FeatureStore) -> None:
    recordings, roots = corpus_of(2)
    with pytest.raises(SourceError, match="no root 'inbox'"):
        extract(recordings.assign(root="inbox"), roots, store)


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
    monkeypatch.setattr(filling, "PART_RECORDINGS", 2)
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
