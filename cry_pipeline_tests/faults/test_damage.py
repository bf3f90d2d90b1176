"""Bits that flip, files cut short, lost or longer: never another value, always found, and only those rows missing."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.features.store.checking import set_aside_damaged, verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.faults.rows import open_store, rows_of, wrong_rows
from cry_pipeline_tests.features.store.looks import folder_of

NAMES = ["a", "b", "c", "d", "e"]
FILES_OF_A_PART = 14
"""Six arrays with metadata and a chunk each, the group, part.json."""


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A store of a compacted part, the two that it supersedes, and one written later."""
    store = open_store(tmp_path)
    store.write(rows_of(["a", "b"]))
    store.write(rows_of(["c"]))
    compact(store)
    store.write(rows_of(["d", "e"]))
    return store


def bit_flips(files: list[Path], count: int) -> Iterator[tuple[Path, bytes]]:
    """Yield ``count`` files with one bit flipped, in turn over all: first, last and random bits."""
    rng = np.random.default_rng(7)
    for turn, path in zip(range(count), itertools.cycle(files), strict=False):
        changed = bytearray(path.read_bytes())
        last = len(changed) * 8 - 1
        bit = (0, last)[turn // len(files)] if turn < 2 * len(files) else int(rng.integers(last + 1))
        changed[bit // 8] ^= 1 << bit % 8
        yield path, bytes(changed)


def cuts(files: list[Path], count: int) -> Iterator[tuple[Path, bytes | None]]:
    """Yield ``count`` files deleted, emptied, lengthened, or cut at some place, in turn over all."""
    rng = np.random.default_rng(8)
    for turn, path in zip(range(count), itertools.cycle(files), strict=False):
        content = path.read_bytes()
        way = turn // len(files) + turn % 4
        cut = content[: int(rng.integers(len(content)))]
        yield path, (None, cut, b"", content + b"\0")[way % 4]


def try_damage(store: FeatureStore, path: Path, content: bytes | None) -> bool:
    """Put ``content`` in place of a file, check readers and verify, mend it; return whether readers were told."""
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    part = path.relative_to(folder_of(store)).parts[1] if "parts" in path.relative_to(folder_of(store)).parts else None
    reader, told = open_store(folder_of(store).parent), []
    for kind in reader.kinds:
        try:
            read = reader.read(NAMES, [kind])
        except FeatureStoreError as error:
            told.append(str(error))
        else:
            np.testing.assert_array_equal(read.arrays[kind], rows_of(NAMES).arrays[kind], err_msg=str(path))
    assert all(part is not None and part in sentence for sentence in told), (path, told)
    assert list(verify(reader).faults) == [part or "feature_set.json"], path
    after = open_store(folder_of(store).parent)
    there = after.recording_ids()
    assert wrong_rows(after, there) == 0
    assert there == set(NAMES) or there == set("abc")  # what was compacted is still there in its sources
    if part is not None:
        shutil.move(folder_of(store) / "quarantine" / part, folder_of(store) / "parts" / part)
    path.write_bytes(whole)
    return bool(told)


def test_damage_is_told_and_found(store: FeatureStore, full: bool, counted) -> None:
    files = sorted(path for path in folder_of(store).rglob("*") if path.is_file())
    assert len(files) == 4 * FILES_OF_A_PART + 1
    flips, others = (2000, 200) if full else (2 * len(files), len(files))
    told = sum(try_damage(store, *damage) for damage in bit_flips(files, flips))
    told += sum(try_damage(store, *damage) for damage in cuts(files, others))
    assert verify(open_store(folder_of(store).parent)).faults == {}
    # To what no reader of today looks at, only verify does: coordinates, the description, superseded parts' arrays.
    assert (flips + others) * 0.25 < told < flips + others
    counted(bit_flips=flips, cuts_and_deletions=others, told_to_readers=told, found_by_verify=flips + others, wrong=0)


def test_lost_cut_and_longer_files_are_seen_at_a_look_and_only_their_part_is_set_aside(
    store: FeatureStore, counted
) -> None:
    parts, seen = folder_of(store) / "parts", 0
    for path in sorted(file for file in parts.rglob("*") if file.is_file()):
        whole, part = path.read_bytes(), path.relative_to(parts).parts[0]
        for content in (None, whole[:-1], b"", whole + b"\0"):
            path.unlink() if content is None else path.write_bytes(content)
            looking = open_store(folder_of(store).parent)
            assert list(set_aside_damaged(looking)) == [part], path
            assert wrong_rows(looking, looking.recording_ids()) == 0
            shutil.move(folder_of(store) / "quarantine" / part, parts / part)
            path.write_bytes(whole)
            seen += 1
    assert set_aside_damaged(open_store(folder_of(store).parent)) == {}
    counted(files_lost_or_of_another_size=seen, seen_at_a_look=seen)


def test_lost_part_is_rows_that_are_missing(store: FeatureStore) -> None:
    collect_garbage(store, readers_s=0, dry_run=False)
    for part in store.snapshot().parts:
        shutil.move(folder_of(store) / "parts" / part, folder_of(store) / "elsewhere")
        reader = open_store(folder_of(store).parent)
        missing = reader.missing(NAMES)
        assert missing in (["a", "b", "c"], ["d", "e"])
        with pytest.raises(FeatureStoreError, match=f"{len(missing)} of 5 recordings have no features here"):
            reader.read(NAMES, ["mel"])
        shutil.move(folder_of(store) / "elsewhere", folder_of(store) / "parts" / part)
