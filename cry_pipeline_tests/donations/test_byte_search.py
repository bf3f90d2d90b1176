"""The byte search finds what it is to find wherever we may have written it, and nothing else."""

import base64
import gzip
import json
import sqlite3
import zlib
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.artefacts import write_table
from cry_pipeline.donations.byte_search import BLOCK, Needles, SearchError, found_in, search_folder

NEEDLE = b"0a1b2c3d-0000-4000-8000-00000000000a"
FIND = Needles([(NEEDLE, "the donor"), (b"\0cry.wav", "the name")])


def places(folder):
    return {(hit.place.removeprefix(f"{folder}/"), hit.what) for hit in search_folder(folder, FIND)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text,
        bytes.upper,
        gzip.compress,
        zlib.compress,
        base64.b64encode,
        lambda text: b'{"cursor": "' + base64.b64encode(zlib.compress(text)) + b'"}',
        lambda text: json.dumps({"inside": json.dumps({"who": text.decode()})}).encode(),
        lambda text: gzip.compress(b"x" * 9000 + base64.urlsafe_b64encode(b"\xff" * 40 + text)),
    ],
)
def test_it_finds_what_is_written_plainly_encoded_or_compressed(wrap):
    assert found_in(wrap(b"donor: " + NEEDLE + b" said it, and a tail of some length"), FIND) == {"the donor"}
    assert found_in(wrap(b"donor: 1" + NEEDLE[1:] + b" said it, and a tail of some length"), FIND) == set()


def test_it_finds_what_lies_across_two_blocks_and_at_each_end(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, BLOCK + 100, np.uint8).tobytes()
    noise = b"\0" + noise[1:]
    for name, place in (("start", 1), ("edge", BLOCK - 10), ("odd", BLOCK - 11), ("end", len(noise) - len(NEEDLE))):
        (tmp_path / name).write_bytes(noise[:place] + NEEDLE + noise[place + len(NEEDLE) :])
    (tmp_path / "none").write_bytes(noise)
    assert places(tmp_path) == {(name, "the donor") for name in ("start", "edge", "odd", "end")}


def test_a_short_name_counts_only_as_a_whole_one():
    assert found_in(b"inbox/cry.wav: too short", FIND) == {"the name"}
    assert found_in(b"CRY.WAV", FIND) == {"the name"}
    assert found_in(b"another-cry.wav cry.wave acry.wav", FIND) == set()


def test_names_of_files_and_folders_and_links_are_searched_too(tmp_path):
    (tmp_path / NEEDLE.decode()).mkdir()
    (tmp_path / NEEDLE.decode() / "plain").write_text("nothing")
    (tmp_path / "link").symlink_to(f"{NEEDLE.decode()}/plain")
    assert places(tmp_path) == {(NEEDLE.decode(), "the donor, in its name"), ("link", "the donor")}


def test_tables_are_opened_with_what_is_noted_in_them(tmp_path):
    who = NEEDLE.decode()
    write_table(tmp_path / "column.parquet", pd.DataFrame({"donor": [who] * 50 + ["other"]}), "d")
    noted = pd.DataFrame({"number": range(3)})
    noted.attrs = {"left_aside": [who]}
    write_table(tmp_path / "noted.parquet", noted, "d")
    write_table(tmp_path / "none.parquet", pd.DataFrame({"donor": ["other"]}), "d")
    lists = pd.DataFrame({"donors": [["other", who]]})
    lists.to_parquet(tmp_path / "lists.parquet", compression="zstd")
    assert {place for place, _ in places(tmp_path)} == {"column.parquet", "noted.parquet", "lists.parquet"}


@pytest.fixture
def database(tmp_path):
    """A database of small pages, which zeroes nothing that it frees."""
    with closing(sqlite3.connect(tmp_path / "events.db")) as opened:
        opened.execute("PRAGMA page_size = 512")
        opened.execute("PRAGMA secure_delete = OFF")
        opened.execute("CREATE TABLE events (body TEXT)")
        yield opened


def test_pages_that_a_database_freed_are_searched_too(tmp_path, database):
    database.execute("INSERT INTO events VALUES (?)", (NEEDLE.decode(),))
    database.execute("DELETE FROM events")
    database.commit()
    assert places(tmp_path) == {("events.db", "the donor")}
    database.execute("VACUUM")
    assert places(tmp_path) == set()


def test_a_text_broken_over_two_pages_is_found_in_its_cell(tmp_path, database):
    # The last 508 bytes of a long text lie in a page of their own.
    database.execute("INSERT INTO events VALUES (?)", ("x" * 300 + NEEDLE.decode() + "y" * 490,))
    database.commit()
    assert NEEDLE not in (tmp_path / "events.db").read_bytes()
    assert places(tmp_path) == {("events.db", "the donor")}


def test_what_cannot_be_searched_is_said_and_never_taken_for_clean(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1\0 is not the whole of it")
    with pytest.raises(SearchError, match=r"broken\.parquet cannot be searched"):
        places(tmp_path)


def test_a_needle_that_would_be_found_everywhere_is_refused():
    with pytest.raises(ValueError, match="has 2 bytes"):
        Needles([(b"ab", "two letters")])
