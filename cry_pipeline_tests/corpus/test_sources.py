"""The inventory lists every audio file, never trusts an old hash, and never takes a failure for an empty folder."""

import errno
import hashlib
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.corpus import hashes, sources
from cry_pipeline.corpus.reading import MAX_BYTES, NotAFileError, hash_regular
from cry_pipeline.corpus.schemas import INVENTORY
from cry_pipeline.corpus.sources import (
    Roots,
    SourceError,
    UnfinishedInventoryError,
    fingerprint,
    read_inventory,
    take_inventory,
    write_inventory,
)
from cry_pipeline_tests.corpus.conftest import ANDROID, CLEANED, IOS, SmallCorpus, age


def write(file: Path, content: bytes) -> Path:
    """Write a file that is old enough for its hash to be kept."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    age(file)
    return file


@pytest.fixture
def filled(small: SmallCorpus) -> SmallCorpus:
    """One file of each source."""
    for number, path in enumerate([f"{CLEANED}/hungry/a.wav", f"{ANDROID}/b.3gp", f"{IOS}/c.caf"]):
        write(small.roots.corpus / path, bytes([number]))
    write(small.folder / "inbox" / "today" / "d.wav", b"inbox")
    return small


def inventory(corpus: SmallCorpus) -> pd.DataFrame:
    return take_inventory(corpus.roots, corpus.cache)


def counts(corpus: SmallCorpus) -> tuple[int, int]:
    """How many files an inventory hashes, and of how many it knows the hash."""
    about = inventory(corpus).attrs
    return about["computed"], about["reused"]


def refused(corpus: SmallCorpus) -> dict[str, str]:
    """The inventory's refusals by path."""
    listed = inventory(corpus)
    rows = listed[listed["refused"].notna()]
    assert rows["detail"].str.endswith(".").all()
    return dict(zip(rows["path"], rows["refused"], strict=True))


def aside(corpus: SmallCorpus) -> dict[str, str]:
    """What the inventory leaves aside, and why, by path."""
    return {one["path"]: one["why"] for one in inventory(corpus).attrs["left_aside"]}


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


@pytest.mark.parametrize(
    "name", [".hidden.wav", ".cache/x.wav", "x.wav.part", "x.TMP", "x.tmp", "x.json", "deep/.x/y.wav"]
)
def test_unfinished_hidden_and_sidecar_files_are_no_recordings(filled, name):
    before = fingerprint(inventory(filled))
    write(filled.folder / "inbox" / name, b"no recording")
    assert fingerprint(inventory(filled)) == before


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


def test_link_is_refused_unless_it_leads_to_a_file_of_its_root(filled, tmp_path):
    inbox = filled.folder / "inbox"
    write(tmp_path / "secret.wav", b"secret")
    (inbox / "inside.wav").symlink_to(inbox / "today" / "d.wav")
    (inbox / "out.wav").symlink_to(tmp_path / "secret.wav")
    (inbox / "nothing.wav").symlink_to(inbox / "gone.wav")
    (inbox / "circle.wav").symlink_to(inbox / "circle.wav")
    (inbox / "folder.wav").symlink_to(inbox / "today")
    (inbox / "up.wav").symlink_to(filled.folder)
    assert refused(filled) == dict.fromkeys(["out.wav", "nothing.wav", "circle.wav", "folder.wav", "up.wav"], "link")
    sha256 = inventory(filled).set_index("path")["sha256"].fillna("not read").to_dict()
    assert sha256["inside.wav"] == sha256["today/d.wav"] == hashlib.sha256(b"inbox").hexdigest()
    assert sha256["out.wav"] == "not read"


def test_what_is_no_file_is_refused_and_never_opened(filled, monkeypatch):
    inbox, opened = filled.folder / "inbox", []
    os.mkfifo(inbox / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(inbox)
        listening.bind("socket.wav")
        really = os.open
        monkeypatch.setattr(os, "open", lambda path, *rest: opened.append(Path(path).name) or really(path, *rest))
        assert refused(filled) == {"pipe.wav": "not_a_file", "socket.wav": "not_a_file"}
    assert "d.wav" in opened
    assert not {"pipe.wav", "socket.wav"} & set(opened)


def test_pipe_put_in_a_files_place_after_it_was_listed_is_not_waited_for(filled, monkeypatch):
    file = filled.folder / "inbox" / "today" / "d.wav"
    regular = file.stat()
    file.unlink()
    os.mkfifo(file)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", lambda _: regular)
        with pytest.raises(NotAFileError, match=r"d\.wav is a pipe"):
            hash_regular(file, regular)


@pytest.mark.parametrize(("size", "word"), [(MAX_BYTES, None), (MAX_BYTES + 1, "too_large"), (12 << 30, "too_large")])
def test_file_that_no_recording_is_as_large_as_is_refused_unread(filled, monkeypatch, size, word):
    huge = filled.folder / "inbox" / "video.mp4"
    with huge.open("wb") as file:
        file.truncate(size)  # all hole: no disk is needed
    monkeypatch.setattr(hashes, "hash_regular", lambda file, _: hashlib.sha256(file.name.encode()).hexdigest())
    assert refused(filled) == ({} if word is None else {"video.mp4": word})
    assert inventory(filled).set_index("path").loc["video.mp4", "bytes"] == size


def test_file_that_nobody_may_read_is_refused_and_the_others_are_listed(filled, monkeypatch):
    really = hashes.hash_regular

    def read(file: Path, seen: os.stat_result) -> str:
        if file.name == "d.wav":
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return really(file, seen)

    monkeypatch.setattr(hashes, "hash_regular", read)
    assert refused(filled) == {"today/d.wav": "unreadable"}
    assert len(inventory(filled)) == 4


def test_folder_that_nobody_may_list_is_left_aside_but_not_one_of_a_share_that_is_gone(filled, monkeypatch):
    really = os.scandir

    def list_or(number: int):
        def scandir(path):
            if Path(path).name == "today":
                raise OSError(number, os.strerror(number), str(path))
            return really(path)

        return scandir

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", list_or(errno.EACCES))
        assert aside(filled) == {"today/": "cannot be listed: Permission denied"}
    monkeypatch.setattr(os, "scandir", list_or(errno.EIO))
    with pytest.raises(SourceError, match=r"today cannot be listed \(Input/output error\)"):
        inventory(filled)


def test_folder_called_like_a_recording_is_a_folder(filled):
    write(filled.folder / "inbox" / "x.wav" / "e.wav", b"inside")
    (filled.folder / "inbox" / "empty.wav").mkdir()
    assert inventory(filled)["path"].tolist()[-2:] == ["today/d.wav", "x.wav/e.wav"]
    assert refused(filled) == {}


def test_empty_folder_is_left_aside(filled):
    (filled.roots.inbox / "today/empty.wav").mkdir(parents=True)
    (filled.roots.corpus / ANDROID / "old").mkdir(parents=True)
    assert aside(filled) == {"today/empty.wav/": "an empty folder", f"{ANDROID}/old/": "an empty folder"}


def test_longest_name_there_can_be_is_listed(filled):
    """With ``.json`` behind it, it is longer than a name may be."""
    name = "a" * 248 + ".wav"
    write(filled.folder / "inbox" / name, b"x")
    assert name in set(inventory(filled)["path"])
    assert refused(filled) == {}


def test_all_that_is_no_row_is_named_with_the_reason(filled):
    inbox = filled.folder / "inbox"
    for name in ("a.wav.part", "b.crdownload", ".hidden.wav", ".trash/c.wav", "orphan.wav.json", "d.WAV.TMP"):
        write(inbox / name, b"x")
    write(filled.roots.corpus / CLEANED / "README.md", b"about")
    write(filled.roots.corpus / ANDROID / "b.json", b"{}")
    assert aside(filled) == {
        "a.wav.part": "unfinished, as its name says",
        "b.crdownload": "unfinished, as its name says",
        "d.WAV.TMP": "unfinished, as its name says",
        ".hidden.wav": "hidden",
        ".trash": "hidden",
        "orphan.wav.json": "tells of no file beside it",
        f"{CLEANED}/README.md": "about the corpus",
        f"{ANDROID}/b.json": "tells of no file beside it",
    }


def test_what_is_left_aside_is_said_in_a_line_for_each_reason(filled, caplog):
    caplog.set_level("INFO")
    for number in range(7):
        write(filled.folder / "inbox" / f"orphan{number}.wav.json", b"{}")
    inventory(filled)
    said = [record.getMessage() for record in caplog.records if "left aside" in record.getMessage()]
    names = ", ".join(f"inbox/orphan{number}.wav.json" for number in range(5))
    assert said == [f"inventory: left aside (tells of no file beside it): {names} and 2 more"]


def test_sidecar_of_the_whole_name_comes_before_that_of_the_stem_and_lower_case_before_upper(filled):
    inbox, told = filled.folder / "inbox", []
    write(inbox / "baby.wav", b"x")
    for name in ("baby.JSON", "baby.json", "baby.wav.Json", "baby.wav.json"):
        write(inbox / name, b"{}")
        told.append(inventory(filled).set_index("path").loc["baby.wav", "sidecar"])
    assert told == ["baby.JSON", "baby.json", "baby.wav.Json", "baby.wav.json"]
    assert set(aside(filled)) == {"baby.JSON", "baby.json", "baby.wav.Json"}


def test_twin_in_other_case_does_not_get_the_others_sidecar(filled):
    for name in ("baby.wav", "BABY.wav", "BABY.wav.json"):
        write(filled.folder / "inbox" / name, name.encode())
    told = inventory(filled).set_index("path")["sidecar"]
    assert told["BABY.wav"] == "BABY.wav.json"
    assert pd.isna(told["baby.wav"])


@pytest.mark.parametrize("kind", ["pipe", "huge", "out", "circle", "nothing"])
def test_sidecar_that_cannot_be_read_refuses_its_file_and_no_other(filled, tmp_path, kind):
    inbox = filled.folder / "inbox"
    write(inbox / "baby.wav", b"x")
    sidecar = inbox / "baby.wav.json"
    if kind == "pipe":
        os.mkfifo(sidecar)
    elif kind == "huge":
        with sidecar.open("wb") as file:
            file.truncate(12 << 30)
    else:
        write(tmp_path / "secret.json", b'{"secret": 1}')
        sidecar.symlink_to({"out": tmp_path / "secret.json", "circle": sidecar, "nothing": inbox / "gone"}[kind])
    assert refused(filled) == {"baby.wav": "odd_name"}


def test_file_that_grows_while_it_is_read_is_left_aside_and_taken_when_it_is_whole(filled, monkeypatch):
    file, really = filled.folder / "inbox" / "today" / "d.wav", hashes.hash_regular

    def grow(path: Path, seen: os.stat_result) -> str:
        if path == file:
            with file.open("ab") as growing:
                growing.write(b"more")
        return really(path, seen)

    with monkeypatch.context() as patched:
        patched.setattr(hashes, "hash_regular", grow)
        assert aside(filled) == {"today/d.wav": "being written"}
    age(file)
    assert aside(filled) == {}
    assert inventory(filled)["bytes"].iloc[3] == file.stat().st_size


def test_file_written_just_now_is_looked_at_twice(filled, monkeypatch):
    file = filled.folder / "inbox" / "today" / "d.wav"

    def write_more(_: float) -> None:
        with file.open("ab") as growing:
            growing.write(b"more")

    file.touch()
    monkeypatch.setattr(sources.time, "sleep", write_more)
    assert aside(filled) == {"today/d.wav": "being written"}
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    assert aside(filled) == {}


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

    def read(file: Path, seen: os.stat_result) -> str:
        if file.name == "d.wav":
            raise KeyboardInterrupt
        return really(file, seen)

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


def test_root_that_is_not_there_is_named(small):
    with pytest.raises(SourceError, match="no root 'inbox'"):
        Roots(small.roots.corpus).locate("inbox", "x.wav")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"b\xe9b\xe9.wav", r"b\xe9b\xe9.wav"),
        (b"b\\xe9b.wav", r"b\x5cxe9b.wav"),
        (b"new\nline\x1b[31m.wav", r"new\x0aline\x1b[31m.wav"),
        ("\u202evaw.wav".encode(), r"\xe2\x80\xaevaw.wav"),
        ("bébé 👶 \\ [red].wav".encode(), "bébé 👶 \\ [red].wav"),
    ],
)
def test_any_name_is_listed_as_text_and_found_again_with_its_sidecar(small, name, shown):
    file = Path(os.fsdecode(os.fsencode(small.folder / "inbox") + b"/" + name))
    write(file, b"x")
    write(Path(f"{file}.json"), b"{}")
    listed = inventory(small)
    write_inventory(listed, small.folder / "inventory.parquet")
    row = read_inventory(small.folder / "inventory.parquet").iloc[0]
    assert (row["path"], row["sidecar"]) == (shown, f"{shown}.json")
    assert small.roots.locate("inbox", row["path"]) == file.resolve()
    assert small.roots.locate("inbox", row["sidecar"]).read_bytes() == b"{}"


def test_names_that_would_be_written_alike_stay_two(small):
    for name in (b"\xe9.wav", b"\\xe9.wav", b"\\x5cxe9.wav"):
        write(Path(os.fsdecode(os.fsencode(small.folder / "inbox") + b"/" + name)), name)
    listed = inventory(small)
    for row in listed.itertuples():
        assert hashlib.sha256(small.roots.locate("inbox", row.path).read_bytes()).hexdigest() == row.sha256
    assert listed["path"].nunique() == 3


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
