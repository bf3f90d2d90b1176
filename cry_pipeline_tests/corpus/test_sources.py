"""The inventory lists every audio file, never trusts an old hash, and never takes a failure for an empty folder."""

import hashlib
import json

import pandas as pd
import pytest

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.corpus.schemas import INVENTORY
from cry_pipeline.corpus.sources import (
    Roots,
    SourceError,
    fingerprint,
    read_inventory,
    take_inventory,
    write_inventory,
)
from cry_pipeline_tests.corpus.conftest import ANDROID, CLEANED, IOS, write
from cry_pipeline_tests.corpus.inventories import inventory


def test_every_source_is_listed_with_size_and_hash(filled):
    listed = inventory(filled)
    assert listed[["root", "path", "source", "processing"]].to_numpy().tolist() == [
        ["corpus", f"{ANDROID}/b.3gp", "donateacry_android", "raw"],
        ["corpus", f"{IOS}/c.caf", "donateacry_ios", "raw"],
        ["corpus", f"{CLEANED}/hungry/a.wav", "donateacry_cleaned", "cleaned"],
        ["inbox", "today/d.wav", "inbox", "raw"],
    ]
    assert listed["bytes"].tolist() == [1, 1, 1, 5]
    assert listed["sha256"].iloc[3] == hashlib.sha256(b"inbox").hexdigest()


def test_readme_of_the_corpus_is_no_recording_but_one_in_the_inbox_is_to_be_judged(filled):
    write(filled.roots.corpus / CLEANED / "README.md", b"about")
    write(filled.folder / "inbox" / "README.md", b"about")
    assert [path for path in inventory(filled)["path"] if "README" in path] == ["README.md"]


def test_inbox_is_left_out_where_there_is_none(filled):
    assert set(take_inventory(Roots(filled.roots.corpus), filled.cache)["root"]) == {"corpus"}


@pytest.mark.parametrize("gone", [f"corpus/{ANDROID}", f"corpus/{IOS}", f"corpus/{CLEANED}", "inbox"])
def test_missing_folder_is_an_error_and_not_empty(small, gone):
    (small.folder / gone).rmdir()
    with pytest.raises(SourceError, match=r"cannot be listed \(No such file"):
        inventory(small)


def test_folder_that_is_a_file_is_an_error(small):
    (small.folder / "inbox").rmdir()
    (small.folder / "inbox").write_text("a file")
    with pytest.raises(SourceError, match=r"cannot be listed \(Not a directory"):
        inventory(small)


def test_empty_folders_make_an_empty_inventory_of_the_right_types(small):
    empty = inventory(small)
    assert len(empty) == 0
    INVENTORY.conforming(empty)


def test_synthetic_corpus_says_so(filled):
    (filled.roots.corpus / "corpus.json").write_text(json.dumps({"source": "synthetic", "seed": 3}))
    listed = inventory(filled)
    assert listed["source"].tolist() == ["synthetic"] * 3 + ["inbox"]
    assert listed["processing"].tolist() == ["raw", "raw", "cleaned", "raw"]


@pytest.mark.parametrize("note", ["{", "[]", "{}", '{"source": "donateacry"}'])
def test_corpus_note_that_says_something_else_is_an_error(filled, note):
    (filled.roots.corpus / "corpus.json").write_text(note)
    with pytest.raises(SourceError, match=r"corpus\.json"):
        inventory(filled)


def test_fingerprint_knows_content_and_names_but_not_order_or_place(filled, tmp_path):
    listed = inventory(filled)
    assert fingerprint(listed.iloc[::-1]) == fingerprint(listed)
    elsewhere = filled.folder.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    moved = take_inventory(Roots(elsewhere / "corpus", elsewhere / "inbox"), elsewhere / "cache")
    assert fingerprint(moved) == fingerprint(listed)
    for column, value in (("path", "z"), ("sha256", "0" * 64), ("bytes", 9), ("root", "inbox"), ("source", "inbox")):
        changed = listed.copy()
        changed.loc[0, column] = value
        assert fingerprint(changed) != fingerprint(listed), column


def test_changed_sidecar_changes_the_fingerprint(filled):
    prints = {fingerprint(inventory(filled))}
    for content in ("{}", '{"gender": "female"}'):
        (filled.folder / "inbox" / "today" / "d.json").write_text(content)
        prints.add(fingerprint(inventory(filled)))
    assert len(prints) == 3


def test_located_file_is_the_one_listed(filled):
    for row in inventory(filled).itertuples():
        content = filled.roots.locate(row.root, row.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row.sha256


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret"])
def test_path_never_leads_out_of_its_root(small, path):
    with pytest.raises(SourceError, match="leads out of"):
        small.roots.locate("inbox", path)


def test_root_that_is_not_there_is_named(small):
    with pytest.raises(SourceError, match="no root 'inbox'"):
        Roots(small.roots.corpus).locate("inbox", "x.wav")


def test_written_inventory_is_read_back_equal(filled, tmp_path):
    listed = inventory(filled)
    path = tmp_path / "manifests" / "inventory.parquet"
    write_inventory(listed, path)
    back = read_inventory(path)
    pd.testing.assert_frame_equal(back, listed)
    assert fingerprint(back) == fingerprint(listed)


def test_damaged_inventory_is_told(filled, tmp_path):
    path = tmp_path / "inventory.parquet"
    write_inventory(inventory(filled), path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedFileError, match=r"inventory\.parquet is not what was written"):
        read_inventory(path)


@pytest.mark.corpus
def test_corpus_is_listed_in_full(corpus, tmp_path):
    listed = take_inventory(Roots(corpus), tmp_path)
    assert listed["source"].value_counts().to_dict() == {
        "donateacry_android": 560,
        "donateacry_cleaned": 457,
        "donateacry_ios": 328,
    }
