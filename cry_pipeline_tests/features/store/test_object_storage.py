"""The same promises in a bucket as in a folder, at an S3 service on the loopback."""

import time
from pathlib import Path

import numpy as np
import obstore
import pytest
import soundfile
import zarr
from obstore.store import S3Store

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.archive import Archive, path_of
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.folder_storage import FolderStorage
from cry_pipeline.features.store.garbage import collect_garbage, collect_unlisted, feature_sets
from cry_pipeline.features.store.object_storage import ObjectStorage
from cry_pipeline.features.store.opening import open_storage
from cry_pipeline.features.store.rows import FeatureStoreError, samples_of
from cry_pipeline.features.store.storage import INDEX, Storage
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import NOW, assert_holds
from cry_pipeline_tests.stated import Stated, manifest_of


@pytest.fixture
def stored(bucket: str, spec: FeatureSetSpec) -> FeatureStore:
    """A store in a bucket, under a prefix."""
    return FeatureStore.open(f"{bucket}/some/features/", spec).of(Stated())


def reopened(store: FeatureStore) -> FeatureStore:
    return FeatureStore.open(store.uri.rpartition("/")[0], store.spec).of(Stated())


def client_of(store: FeatureStore) -> tuple[S3Store, str]:
    """Return a client of the store's bucket, and the prefix of its objects."""
    bucket, _, prefix = store.uri.removeprefix("s3://").partition("/")
    return S3Store(bucket), prefix


def test_what_is_written_is_read_by_another_reader(stored: FeatureStore, make_rows) -> None:
    assert stored.recording_ids() == set()
    rows, others = make_rows(a=3, b=1, c=2000), make_rows(1, d=5)
    stored.write(rows)
    stored.write(others)
    reader = reopened(stored)
    assert_holds(reader, rows)
    read = reader.read(["d", "b", "a"], ["mel", "statistics"])
    np.testing.assert_array_equal(read.of("mel", 0), others.of("mel", 0))
    np.testing.assert_array_equal(read.of("statistics", 2), rows.of("statistics", 0))
    info = reader.info()
    assert (info.recordings, info.parts) == (4, 2)
    client, prefix = client_of(stored)
    assert info.bytes == sum(o["size"] for chunk in obstore.list(client, f"{prefix}/parts/") for o in chunk)


@pytest.mark.filterwarnings("ignore:Object at part.json")  # which is not Zarr's, as zarr says when it lists a group
def test_part_in_a_bucket_is_plain_zarr_and_xarray_opens_it(stored: FeatureStore, make_rows) -> None:
    xarray = pytest.importorskip("xarray")
    rows = make_rows(a=3, b=4)
    name = stored.write(rows)
    assert isinstance(stored.storage, ObjectStorage)
    group = zarr.open_group(stored.storage.array_store(f"parts/{name}"), mode="r")
    np.testing.assert_array_equal(np.asarray(group["mel"]), rows.arrays["mel"])
    opened = xarray.open_zarr(stored.storage.array_store(f"parts/{name}"), consolidated=False)
    assert opened["mel"].dims == ("frame", "mel_band")


def test_part_is_not_there_before_its_index_is(
    stored: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, keys, seen = obstore.put, [], []

    def watched(client: S3Store, key: str, content: bytes) -> object:
        keys.append(key)
        seen.append(reopened(stored).recording_ids())
        return put(client, key, content)

    monkeypatch.setattr(obstore, "put", watched)
    stored.write(make_rows(a=3))
    assert keys[-1].endswith(f"/{INDEX}")
    assert not any(seen)
    assert reopened(stored).recording_ids() == {"a"}


def test_write_that_fails_leaves_nothing(stored: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.write(make_rows(a=3))
    put = obstore.put

    def fail(client: S3Store, key: str, content: bytes) -> object:
        if key.endswith(INDEX):
            put(client, key, content)  # done, but the answer is lost
            raise obstore.exceptions.GenericError("connection reset")
        return put(client, key, content)

    monkeypatch.setattr(obstore, "put", fail)
    with pytest.raises(OSError, match="connection reset"):
        stored.write(make_rows(b=3))
    assert stored.recording_ids() == {"a"}
    assert len(stored.storage.parts()) == 1
    assert stored.storage.leftovers(-1) == []


def test_compaction_garbage_and_snapshots(stored: FeatureStore, many) -> None:
    for rows in many:
        stored.write(rows)
    before = stored.snapshot()
    report = compact(stored)
    assert (report.superseded, len(report.written)) == (5, 1)
    for rows in many:
        assert_holds(reopened(stored), rows)
        assert_holds(stored.at(before), rows)
    assert set(collect_garbage(stored, readers_s=NOW).bytes_by_path) == {f"parts/{name}" for name in before.parts}
    collect_garbage(stored, readers_s=NOW, dry_run=False)
    assert stored.storage.parts() == list(report.written)
    with pytest.raises(FeatureStoreError, match="of the snapshot is not here any more"):
        reopened(stored).at(before).read(["r0"], ["mel"])
    for rows in many:
        assert_holds(stored, rows)


def test_what_a_dead_writer_left_is_garbage_in_time(
    stored: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.write(make_rows(a=3))
    client, prefix = client_of(stored)
    dead = f"{prefix}/parts/{'0' * 32}"
    obstore.put(client, f"{dead}/mel/c.0.0", b"12345")
    assert stored.recording_ids() == {"a"}
    assert collect_garbage(stored).bytes_by_path == {}
    tomorrow = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert collect_garbage(stored, dry_run=False).bytes_by_path == {f"parts/{'0' * 32}": 5}
    monkeypatch.undo()
    assert not [o for chunk in obstore.list(client, dead) for o in chunk]


def test_damaged_part_is_set_aside(stored: FeatureStore, make_rows) -> None:
    stored.write(make_rows(a=3))
    bad = stored.write(make_rows(1, b=3))
    client, prefix = client_of(stored)
    obstore.delete(client, f"{prefix}/parts/{bad}/mel/c.0.0")
    with pytest.raises(FeatureStoreError, match=bad):
        stored.read(["b"], ["mel"])
    assert list(verify(stored).faults) == [bad]
    assert stored.missing(["a", "b"]) == ["b"]
    assert obstore.head(client, f"{prefix}/quarantine/{bad}/{INDEX}")["size"] > 0


def test_feature_sets_of_no_catalog_can_be_removed(stored: FeatureStore, make_rows) -> None:
    old = FeatureStore.open(stored.uri.rpartition("/")[0], stored.spec.model_copy(update={"floor_db": -80.0}))
    for each in (stored, old):
        each.write(make_rows(a=3))
    root = open_storage(stored.uri.rpartition("/")[0])
    assert feature_sets(root) == sorted([stored.digest, old.digest])
    assert collect_unlisted(root, {stored.digest}).bytes_by_path == {}  # written to a moment ago
    collect_unlisted(root, {stored.digest}, NOW, dry_run=False)
    assert feature_sets(root) == [stored.digest]


def test_service_that_is_not_there_is_said_and_is_no_empty_store(
    stored: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.write(make_rows(a=3))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")

    def refuse(*_: object) -> None:
        raise obstore.exceptions.PermissionDeniedError("access denied")

    monkeypatch.setattr(obstore, "list", refuse)
    for ask in (FeatureStore.recording_ids, verify, compact):
        with pytest.raises(OSError, match="access denied"):
            ask(stored)


def test_recordings_are_extracted_into_a_bucket_once(stored: FeatureStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", rng.uniform(-0.5, 0.5, 8000), 8000, "PCM_16")
    recordings = manifest_of(tmp_path, ["a.wav", "b.wav"])
    first = extract(recordings, Roots(tmp_path), stored)
    assert (first.computed, first.reused, first.failed) == (2, 0, {})
    again = extract(recordings, Roots(tmp_path), reopened(stored))
    assert (again.computed, again.reused) == (0, 2)
    stated = samples_of(recordings)
    local = FeatureStore.open(tmp_path / "features", stored.spec).of(stated)
    extract(recordings, Roots(tmp_path), local)
    assert_holds(stored.of(stated), local.read(list(stated), local.kinds))


def test_archived_recordings_of_a_bucket_are_extracted(stored: FeatureStore, bucket: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", rng.uniform(-0.5, 0.5, 8000), 8000, "PCM_16")
    recordings = manifest_of(tmp_path, ["a.wav"])
    archive = Archive.open(f"{bucket}/archive", tmp_path / "cache")
    sha256 = recordings["recording_id"][0]
    archive.files.write(path_of(sha256), (tmp_path / "a.wav").read_bytes())
    archived = recordings.assign(root="archive", path=path_of(sha256))
    done = extract(archived, Roots(tmp_path / "nowhere", archive=archive), stored)
    assert (done.computed, done.reused, done.failed) == (1, 0, {})


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_storages_keep_the_same_contract(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    uri = str(tmp_path / "root") if kind == "folder" else f"{request.getfixturevalue('bucket')}/root"
    root: Storage = open_storage(uri)
    assert isinstance(root, FolderStorage if kind == "folder" else ObjectStorage)
    storage, seen = root.below("set"), []
    assert (storage.names(), storage.parts(), storage.size("parts"), storage.has_part("p")) == ([], [], 0, False)
    assert not storage.set_aside("p")
    assert not storage.written_since(60)
    with pytest.raises(FileNotFoundError):
        storage.read("about.json")
    storage.replace("about.json", b"one")
    storage.replace("about.json", b"two")
    assert storage.read("about.json") == b"two"
    files = {"mel/c.0.0": b"12345", "zarr.json": b"{}", INDEX: b"index"}
    storage.publish("p", files, lambda path: seen.append(storage.read(f"{path}/mel/c.0.0")))
    assert seen == [b"12345"]
    assert storage.parts() == ["p"]
    assert storage.has_part("p")
    assert storage.size("parts/p") == 12
    assert storage.sizes("parts/p") == {path: len(content) for path, content in files.items()}
    assert root.names() == ["set"]
    assert storage.written_since(60)

    def refuse(_: str) -> None:
        raise FeatureStoreError("no")

    with pytest.raises(FeatureStoreError, match="no"):
        storage.publish("q", files, refuse)
    assert storage.parts() == ["p"]
    assert storage.leftovers(-1) == []
    assert storage.set_aside("p")
    assert storage.parts() == []
    assert storage.read(f"quarantine/p/{INDEX}") == b"index"
    storage.remove("quarantine/p")
    storage.remove("quarantine/p")
    assert storage.size("quarantine") == 0
