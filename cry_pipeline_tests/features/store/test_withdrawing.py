"""Withdrawn recordings leave no row behind, in no part, of now or of before; all other rows stay as they were."""

from pathlib import Path

import pytest

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.failures import note_failures, read_failures
from cry_pipeline.features.store.opening import open_storage
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.features.store.withdrawing import withdraw_rows
from cry_pipeline_tests.features.store.looks import assert_holds, damage, folder_of, parts_there, reopened
from cry_pipeline_tests.stated import Stated

GONE, STAYS = "withdrawn-recording", "other-recording"


def withdraw(store: FeatureStore, *, change: bool = True) -> list:
    return list(withdraw_rows(open_storage(store.uri.rpartition("/")[0]), [store.spec], [GONE], change=change))


def traces(store: FeatureStore) -> list[Path]:
    """Files in which the recording is named."""
    return [path for path in folder_of(store).rglob("*") if path.is_file() and GONE.encode() in path.read_bytes()]


@pytest.fixture
def rows(make_rows):
    return make_rows(1, **{GONE: 5, STAYS: 3}), make_rows(2, third=4)


def test_other_rows_stay_to_the_last_bit_and_parts_without_the_recording_are_not_touched(store, rows):
    store.write(rows[0])
    untouched = store.write(rows[1])
    written, other = rows[0], 1
    (holding,) = withdraw(store)
    assert "1 rows" in holding.what
    assert traces(store) == []
    read = reopened(store).read([STAYS], store.kinds)
    for kind in store.kinds:
        assert (read.of(kind, 0) == written.of(kind, other)).all()
    assert_holds(reopened(store), rows[1])
    assert untouched in parts_there(store)
    assert verify(reopened(store)).faults == {}
    assert withdraw(store) == []  # nothing more to do


def test_superseded_and_set_aside_parts_go_at_once_and_do_not_come_back(store, rows):
    for each in rows:
        store.write(each)
    compact(store)  # leaves its sources behind
    damaged = store.write(rows[0])
    damage(store, damaged)
    verify(store)
    note_failures(store.storage, [], {(GONE, "x"): "undecodable", (STAYS, "y"): "undecodable"})
    assert len(traces(store)) > 3
    withdraw(store)
    assert traces(store) == []
    assert set(read_failures(store.storage)) == {(STAYS, "y")}
    assert reopened(store).missing([GONE, STAYS, "third"]) == [GONE]


def test_a_dry_run_says_the_same_places_and_changes_nothing(store, rows):
    for each in rows:
        store.write(each)
    compact(store)
    before = {path: path.read_bytes() for path in folder_of(store).rglob("*") if path.is_file()}
    planned = withdraw(store, change=False)
    assert before == {path: path.read_bytes() for path in folder_of(store).rglob("*") if path.is_file()}
    assert planned == withdraw(store)


def test_a_damaged_part_goes_whole_and_its_other_rows_count_as_missing(store, rows):
    name = store.write(rows[0])
    damage(store, name)
    withdraw(store)
    assert traces(store) == []
    assert reopened(store).missing([STAYS]) == [STAYS]


def test_killed_between_writing_and_removing_it_goes_on(store, rows, monkeypatch):
    store.write(rows[0])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(store.storage), "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            withdraw(store)
    assert traces(store)
    withdraw(store)
    assert traces(store) == []
    assert reopened(store).missing([STAYS]) == []


def test_in_a_feature_set_of_no_catalog_the_parts_go_whole(store, rows):
    for each in rows:
        store.write(each)
    list(withdraw_rows(open_storage(store.uri.rpartition("/")[0]), [], [GONE], change=True))
    assert traces(store) == []
    assert reopened(store).missing(["third"]) == []


def test_in_a_bucket_too(bucket, spec, rows):
    store = FeatureStore.open(f"{bucket}/features", spec).of(Stated())
    for each in rows:
        store.write(each)
    withdraw(store)
    again = FeatureStore.open(f"{bucket}/features", spec).of(Stated())
    assert again.missing([GONE, STAYS, "third"]) == [GONE]
    named = [path for path in again.storage.sizes("parts") if GONE.encode() in again.storage.read(f"parts/{path}")]
    assert named == []
