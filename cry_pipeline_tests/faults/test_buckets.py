"""The same faults where the store is a bucket: requests that are never answered, bits that flip, many at a time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.store import S3Store

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.faults.actors import OPERATIONS
from cry_pipeline_tests.faults.rows import open_store, rows_of, wrong_rows

FEW = (("killed_at_every_request", "write"), ("failing_at_every_request", "compact"))
BEFORE, ALL = frozenset("abc"), frozenset("abcde")


def judge(uri: str, *, acknowledged: bool, operation: str) -> None:
    """Check the store that was left, that verify finds nothing, and that one can go on with it."""
    store = open_store(uri)
    there = store.recording_ids()
    assert there in (BEFORE, ALL), uri
    assert not acknowledged or operation != "write" or there == ALL
    assert wrong_rows(store, there) == 0
    assert verify(store).faults == {}
    store.write(rows_of(["d", "e"]))
    compact(store)
    collect_garbage(store, readers_s=0, dry_run=False)
    assert wrong_rows(open_store(uri), ALL) == 0


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("scenario", ["killed_at_every_request", "failing_at_every_request"])
def test_requests_that_are_not_answered(
    scenario: str, operation: str, act, counted, full: bool, tmp_path: Path, bucket: str
) -> None:
    if not full and (scenario, operation) not in FEW:
        pytest.skip("one of each in ordinary tests; all with CRY_PIPELINE_FAULTS=full")
    stride = 1 if full else 14
    outcomes = act(scenario, tmp_path, operation, stride, bucket)
    assert outcomes[-1]["acknowledged"]
    assert len(outcomes) > 1
    for told in outcomes:
        judge(told["uri"], acknowledged=told["acknowledged"], operation=operation)
    counted(faults=len(outcomes) - 1, rows_lost=0, wrong_values=0, half_parts=0)


def test_writers_compactors_collectors_and_a_reader_in_one_bucket(
    act, counted, full: bool, tmp_path: Path, bucket: str
) -> None:
    writers, commits = (8, 25) if full else (3, 2)
    told = act("together", tmp_path / "told", writers, commits, f"{bucket}/features")
    acknowledged = {name for line in told for name in line.get("acknowledged", ())}
    assert len(acknowledged) == writers * commits + commits
    store = open_store(f"{bucket}/features")
    assert store.recording_ids() == acknowledged
    assert wrong_rows(store, acknowledged) == 0
    assert verify(store).faults == {}
    sums = {key: sum(line.get(key, 0) for line in told) for key in ("polls", "rows", "compactions", "collected")}
    assert sums["compactions"] > 0
    counted(commits=writers * commits, **sums, rows_lost=0, wrong_values=0, half_parts=0)


def damages(bucket: S3Store, paths: list[str], count: int) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Yield ``count`` objects with their content and another: a bit flipped, cut short, or none at all."""
    rng = np.random.default_rng(9)
    for turn in range(count):
        path = paths[turn % len(paths)]
        whole = obstore.get(bucket, path).bytes().to_bytes()
        changed = bytearray(whole)
        bit = int(rng.integers(len(whole) * 8))
        changed[bit // 8] ^= 1 << bit % 8
        yield (
            path,
            whole,
            (bytes(changed), bytes(changed), whole[: len(whole) // 2], None)[(turn + turn // len(paths)) % 4],
        )


def is_told(reader: FeatureStore, part: str, kind: str) -> bool:
    """Read ``kind`` of a and b; return whether that was refused, naming the part; other values than written fail."""
    try:
        read = reader.read(["a", "b"], [kind])
    except FeatureStoreError as error:
        return part in str(error)
    np.testing.assert_array_equal(read.arrays[kind], rows_of(["a", "b"]).arrays[kind], err_msg=kind)
    return False


def test_damage_in_a_bucket_is_told_and_found(bucket: str, full: bool, counted) -> None:
    uri = f"{bucket}/features"
    store = open_store(uri)
    part = store.write(rows_of(["a", "b"]))
    client = S3Store(bucket.removeprefix("s3://"))
    paths = [about["path"] for chunk in obstore.list(client, "features/") for about in chunk]
    inside = [path for path in paths if f"/parts/{part}/" in path]
    told = 0
    for path, whole, content in damages(client, inside, 280 if full else len(inside)):
        obstore.delete(client, path) if content is None else obstore.put(client, path, content)
        reader = open_store(uri)
        if path.endswith("part.json") and content is None:
            assert reader.missing(["a", "b"]) == ["a", "b"]  # as on any shelf: without its index a part is not there
            told += 1
        else:
            told += sum(is_told(reader, part, kind) for kind in reader.kinds)
            assert list(verify(reader).faults) == [part], path
            assert open_store(uri).recording_ids() == set()
            for other in inside:
                quarantined = other.replace("/parts/", "/quarantine/")
                if other != path:
                    obstore.copy(client, quarantined, other)
        obstore.put(client, path, whole)
        assert wrong_rows(open_store(uri), "ab") == 0
    assert told > len(inside) / 2
    counted(damaged_objects=280 if full else len(inside), told_to_readers=told, wrong_values=0)
