"""What a reader sees: snapshots read again, parts that come and go under it, and xarray."""

from threading import Lock

import numpy as np
import pytest

from cry_pipeline.features.store.checking import set_aside_damaged, verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.snapshots import Snapshot
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import NOW, assert_holds, folder_of, reopened


def test_store_at_a_snapshot_reads_exactly_its_parts(store: FeatureStore, make_rows) -> None:
    first = make_rows(1, a=3)
    store.write(first)
    then = store.at(store.snapshot())
    newer = store.write(make_rows(2, a=4, b=2))
    while newer > then.snapshot().parts[0]:  # until readers of today take another `a`
        newer = store.write(make_rows(2, a=4, b=2))
    assert then.recording_ids() == {"a"}
    assert then.missing(["a", "b"]) == ["b"]
    assert_holds(then, first)
    assert store.read(["a"], ["mel"]).offsets[-1] == 4
    assert then.info().parts == 1


def test_snapshot_can_only_be_read(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    then = store.at(store.snapshot())
    for change in (lambda store: store.write(make_rows(b=3)), compact, verify, set_aside_damaged, collect_garbage):
        with pytest.raises(FeatureStoreError, match="can only be read"):
            change(then)


def test_snapshot_of_another_feature_set_is_refused(store: FeatureStore) -> None:
    with pytest.raises(FeatureStoreError, match="is of the feature set"):
        store.at(Snapshot("f" * 64, ()))


def test_listing_that_was_overtaken_is_done_again(store: FeatureStore, many, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [store.write(rows) for rows in many]
    compact(store)
    collect_garbage(store, readers_s=NOW, dry_run=False)
    reader = reopened(store)
    listed, torn = reader.index._listed, [sorted(sources)[:2]]  # three were removed already, the compacted not yet seen
    monkeypatch.setattr(reader.index, "_listed", lambda: torn.pop() if torn else listed())
    assert reader.missing([f"r{seed}" for seed in range(5)]) == []


def test_part_removed_between_look_and_reading_is_no_fault(
    store: FeatureStore, many, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in many:
        store.write(rows)
    reader = reopened(store)
    load, one_at_a_time = reader.index.load, Lock()

    def removed_meanwhile(name: str):
        with one_at_a_time:  # parts are loaded side by side, and compactions side by side make new ones of each other's
            compact(store)
            collect_garbage(store, readers_s=NOW, dry_run=False)
        return load(name)

    monkeypatch.setattr(reader.index, "load", removed_meanwhile)
    for rows in many:
        assert_holds(reader, rows)


@pytest.mark.filterwarnings("ignore:Object at part.json")  # which is not Zarr's, as zarr says when it lists a group
def test_xarray_shows_named_axes_units_and_parameters(store: FeatureStore, make_rows) -> None:
    xarray = pytest.importorskip("xarray")
    rows = make_rows(a=3, b=5)
    folder = folder_of(store) / "parts" / store.write(rows)
    opened = xarray.open_zarr(folder, consolidated=False)
    assert {name: array.dims for name, array in opened.data_vars.items() if name != "offsets"} == {
        "spectrogram": ("frame", "bin"),
        "mel": ("frame", "mel_band"),
        "mfcc": ("frame", "coefficient"),
        "statistics": ("recording", "statistic"),
    }
    assert opened["recording_id"].dims == ("recording",)
    assert list(opened.coords) == ["recording_id"]
    assert opened["statistics"].sel(recording=1)["recording_id"].item() == "b"
    assert opened.attrs["sample_rate_hz"] == opened["mel"].attrs["sample_rate_hz"] == 8000
    assert opened.attrs["parameters"]["hop_samples"] == 32
    assert opened["mel"].attrs["units"] == "dB re full-scale sine"
    edges = opened["offsets"].to_numpy()
    of_b = opened["mel"].isel(frame=slice(*edges[1:3])).to_numpy()
    np.testing.assert_array_equal(of_b, rows.of("mel", 1))


def test_reader_that_saw_rows_before_takes_the_same_of_equal_rows_as_a_new_one(store: FeatureStore, make_rows) -> None:
    for seed in range(8):
        reopened(store).write(make_rows(seed, a=3))
        assert_holds(store, reopened(store).read(["a"], store.kinds))
