"""Every entry of a folder is a row, refused unread or left aside, and none stops the others."""

import errno
import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cry_pipeline.corpus import hashes, sources
from cry_pipeline.corpus.reading import MAX_BYTES, NotAFileError, hash_regular
from cry_pipeline.corpus.sources import (
    SourceError,
    fingerprint,
    read_inventory,
    write_inventory,
)
from cry_pipeline_tests.corpus.conftest import ANDROID, CLEANED, age, write
from cry_pipeline_tests.corpus.inventories import aside, inventory, refused


@pytest.mark.parametrize(
    "name", [".hidden.wav", ".cache/x.wav", "x.wav.part", "x.TMP", "x.tmp", "x.json", "deep/.x/y.wav"]
)
def test_unfinished_hidden_and_sidecar_files_are_no_recordings(filled, name):
    before = fingerprint(inventory(filled))
    write(filled.folder / "inbox" / name, b"no recording")
    assert fingerprint(inventory(filled)) == before


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
            hash_regular(file, regular, str(filled.folder))


@pytest.mark.parametrize(("size", "word"), [(MAX_BYTES, None), (MAX_BYTES + 1, "too_large"), (12 << 30, "too_large")])
def test_file_that_no_recording_is_as_large_as_is_refused_unread(filled, monkeypatch, size, word):
    huge = filled.folder / "inbox" / "video.mp4"
    with huge.open("wb") as file:
        file.truncate(size)  # all hole: no disk is needed
    monkeypatch.setattr(hashes, "hash_regular", lambda file, *_: hashlib.sha256(file.name.encode()).hexdigest())
    assert refused(filled) == ({} if word is None else {"video.mp4": word})
    assert inventory(filled).set_index("path").loc["video.mp4", "bytes"] == size


def test_file_that_nobody_may_read_is_refused_and_the_others_are_listed(filled, monkeypatch):
    really = hashes.hash_regular

    def read(file: Path, *seen: Any) -> str:
        if file.name == "d.wav":
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return really(file, *seen)

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

    def grow(path: Path, *seen: Any) -> str:
        if path == file:
            with file.open("ab") as growing:
                growing.write(b"more")
        return really(path, *seen)

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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"b\xe9b\xe9.wav", r"b\xe9b\xe9.wav"),
        (b"b\\xe9b.wav", r"b\x5cxe9b.wav"),
        (b"new\nline\x1b[31m.wav", r"new\x0aline\x1b[31m.wav"),
        ("\u202evaw.wav".encode(), r"\xe2\x80\xaevaw.wav"),
        ("\u200e\u200bb\xad\ufeff.wav".encode(), r"\xe2\x80\x8e\xe2\x80\x8bb\xc2\xad\xef\xbb\xbf.wav"),
        ("👩\u200d🍼 \u0646\u200c\u0645.wav".encode(), "👩\u200d🍼 \u0646\u200c\u0645.wav"),
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
