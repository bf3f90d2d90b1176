"""No old hash is trusted, and none is computed twice."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cry_pipeline.corpus import hashes, sources
from cry_pipeline.corpus.sources import (
    UnfinishedInventoryError,
    fingerprint,
    take_inventory,
)
from cry_pipeline_tests.corpus.conftest import ANDROID, SmallCorpus, write
from cry_pipeline_tests.corpus.inventories import counts, inventory


def test_hashes_are_reused(filled):
    assert counts(filled) == (4, 0)
    assert counts(filled) == (0, 4)
    write(filled.folder / "inbox" / "e.wav", b"new")
    assert counts(filled) == (1, 4)


def test_content_changed_in_place_is_hashed_again(filled):
    inventory(filled)
    file = filled.folder / "inbox" / "today" / "d.wav"
    file.write_bytes(b"INBOX")
    os.utime(file, (1_600_000_000, 1_600_000_000))
    assert inventory(filled)["sha256"].iloc[3] == hashlib.sha256(b"INBOX").hexdigest()


def test_hash_of_a_file_changed_just_now_is_not_kept(filled):
    """Within the resolution of mtime, a second change would be missed."""
    (filled.folder / "inbox" / "today" / "d.wav").touch()
    inventory(filled)
    assert counts(filled) == (1, 3)


def test_hash_of_another_corpus_at_the_same_paths_is_not_taken(filled, tmp_path):
    inventory(filled)
    other = SmallCorpus(tmp_path / "other")
    write(other.roots.corpus / ANDROID / "b.3gp", b"\xff")  # same path, size and mtime
    listed = take_inventory(other.roots, filled.cache)
    assert listed["sha256"].tolist() == [hashlib.sha256(b"\xff").hexdigest()]


@pytest.mark.parametrize("damage", [lambda b: b[:-30], lambda b: b"", lambda b: b[:90] + bytes([b[90] ^ 1]) + b[91:]])
def test_damaged_hash_cache_is_made_again_and_said(filled, damage, caplog):
    before = inventory(filled)
    cache = filled.cache / "hashes.parquet"
    cache.write_bytes(damage(cache.read_bytes()))
    again = inventory(filled)
    pd.testing.assert_frame_equal(again, before)
    assert again.attrs["computed"] == 4
    assert "hashes.parquet is damaged" in caplog.text
    assert inventory(filled).attrs["computed"] == 0


def test_file_of_a_time_to_come_is_not_waited_for_or_hashed_again_for_ever(filled, monkeypatch):
    monkeypatch.setattr(sources.time, "sleep", pytest.fail)
    os.utime(filled.folder / "inbox" / "today" / "d.wav", (4_000_000_000, 4_000_000_000))
    assert counts(filled) == (4, 0)
    assert counts(filled) == (0, 4)


@pytest.mark.parametrize("in_place", [True, False])
def test_content_changed_under_the_same_size_and_mtime_is_noticed(filled, in_place):
    """As an archive leaves files, or who swaps the names of two."""
    one, two = write(filled.folder / "inbox" / "1.wav", b"hungry"), write(filled.folder / "inbox" / "2.wav", b"tired!")
    before = inventory(filled).set_index("path")["sha256"]
    if in_place:
        write(one, b"tired!")
        write(two, b"hungry")
    else:
        one.rename(one.with_name("3"))
        two.rename(one)
        one.with_name("3").rename(two)
    after = inventory(filled).set_index("path")["sha256"]
    assert (after["1.wav"], after["2.wav"]) == (before["2.wav"], before["1.wav"])


def test_first_look_at_more_than_can_be_hashed_in_time_is_gone_on_with_by_the_next(filled):
    said = []
    for _ in range(3):
        with pytest.raises(UnfinishedInventoryError) as error:
            take_inventory(filled.roots, filled.cache, budget_s=-1)
        said.append(str(error.value))
    assert [words.split(" files")[0] for words in said] == ["1 of 4", "2 of 4", "3 of 4"]
    listed = take_inventory(filled.roots, filled.cache, budget_s=-1)
    assert (listed.attrs["computed"], listed.attrs["reused"]) == (1, 3)
    pd.testing.assert_frame_equal(listed, inventory(filled))


def test_look_that_needs_no_hashing_is_never_cut_short(filled):
    inventory(filled)
    assert len(take_inventory(filled.roots, filled.cache, budget_s=-1)) == 4


def test_looks_at_one_time_do_not_tear_each_others_hashes(filled):
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(lambda _: fingerprint(inventory(filled)), range(8)))
    assert len(set(looks)) == 1
    assert counts(filled) == (0, 4)


def test_hashes_are_kept_also_of_a_look_that_is_broken_off(filled, monkeypatch):
    really = hashes.hash_regular

    def read(file: Path, *seen: Any) -> str:
        if file.name == "d.wav":
            raise KeyboardInterrupt
        return really(file, *seen)

    with monkeypatch.context() as patched:
        patched.setattr(hashes, "hash_regular", read)
        with pytest.raises(KeyboardInterrupt):
            inventory(filled)
    assert counts(filled) == (1, 3)


def test_look_that_is_broken_off_forgets_nothing(filled):
    inventory(filled)
    for number in range(2):
        write(filled.folder / "inbox" / f"{number}.wav", bytes([number]))
    with pytest.raises(UnfinishedInventoryError, match="5 of 6 files are hashed"):
        take_inventory(filled.roots, filled.cache, budget_s=-1)
    assert counts(filled) == (1, 5)


@pytest.mark.parametrize(("share", "written"), [(0, [1, 2, 3, 4]), (1e9, [1, 4])])
def test_hashes_are_kept_less_often_where_that_takes_long(filled, monkeypatch, share, written):
    """Of millions, writing all of them again every ten seconds would be all that is done."""
    kept: list[int] = []
    really = hashes.KEPT.__class__.write

    def write(self: Any, path: Path, table: pd.DataFrame, *rest: Any) -> None:
        kept.append(len(table))
        really(self, path, table, *rest)

    monkeypatch.setattr(hashes.KEPT.__class__, "write", write)
    monkeypatch.setattr(hashes, "SAVED_EVERY_S", -1)
    monkeypatch.setattr(hashes, "SAVING_SHARE", share)
    assert counts(filled) == (4, 0)
    assert kept == written
    assert counts(filled) == (0, 4)
    assert kept == written, "nothing is new"
