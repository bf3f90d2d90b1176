"""A schema's check stands before every table that is written and behind every one that is read."""

import os
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline import artefacts, tables
from cry_pipeline.artefacts import DamagedFileError, write_table
from cry_pipeline.tables import Schema, TableError, flag, instant, integer, number, sha256, text

SCHEMA = Schema(
    "the table of sounds",
    {
        "name": text("what it is called", matches="^[a-z]+$"),
        "form": text("how it is kept", among=["wav", "flac"], nullable=True),
        "content": sha256("of its bytes", nullable=True),
        "samples": integer("how many", 1),
        "channels": integer("how many, if it is known", 1, nullable=True),
        "peak": number("max |x|", 0, 1, nullable=True),
        "loud": flag("whether it is loud"),
        "kept": flag("whether it was kept, if it is known", nullable=True),
        "made": instant("when it was recorded"),
    },
    unique=["name", "form"],
    rules={"what is loud has a peak of 0.5": lambda table: ~table["loud"] | (table["peak"] >= 0.5)},
)
SOUND = {
    "name": "drum",
    "form": "wav",
    "content": "0" * 64,
    "samples": 7,
    "channels": 1,
    "peak": 0.7,
    "loud": True,
    "kept": None,
    "made": pd.Timestamp("2015-04-28", tz="UTC"),
}
NOTHING = dict.fromkeys(("form", "content", "channels", "peak", "kept"))


def test_what_is_written_is_read_with_its_types(tmp_path):
    table = SCHEMA.table_of([SOUND, {**SOUND, **NOTHING, "loud": False}])
    SCHEMA.write(tmp_path / "a.parquet", table, "digest")
    pd.testing.assert_frame_equal(SCHEMA.read(tmp_path / "a.parquet"), table)
    current = SCHEMA.current(tmp_path / "a.parquet", "digest")
    assert current is not None
    pd.testing.assert_frame_equal(current, table)
    assert SCHEMA.current(tmp_path / "a.parquet", "another digest") is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"name": "Drum"}, "name"),
        ({"name": None}, "name"),
        ({"form": "mp3"}, "form"),
        ({"content": "0" * 63}, "content"),
        ({"samples": 0}, "samples"),
        ({"channels": 0}, "channels"),
        ({"peak": 1.5}, "peak"),
        ({"peak": 0.4}, "what is loud has a peak of 0.5"),
    ],
)
def test_a_fault_is_told_and_nothing_is_written(tmp_path, fault, said):
    with pytest.raises(TableError, match=r"the table of sounds has \d faults") as error:
        SCHEMA.write(tmp_path / "a.parquet", SCHEMA.table_of([SOUND | fault]), "digest")
    assert said in str(error.value)
    assert not (tmp_path / "a.parquet").exists()


def test_a_row_twice_is_told():
    with pytest.raises(TableError, match="name"):
        SCHEMA.conforming(SCHEMA.table_of([SOUND, SOUND]))


def test_a_table_of_another_schema_is_told_by_its_path_and_is_not_current(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, SCHEMA.table_of([SOUND]).drop(columns="peak"), "digest")
    with pytest.raises(TableError, match=r"a\.parquet has 2 faults .* first: column_in_dataframe \(peak\)"):
        SCHEMA.read(path)
    assert SCHEMA.current(path, "digest") is None


def settle(path: Path) -> None:
    """Let a file be as old as those that stages read of each other."""
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 60))


def test_a_table_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, readings = tmp_path / "sounds.parquet", []
    read_table = artefacts.read_table
    monkeypatch.setattr(artefacts, "read_table", lambda path: readings.append(path) or read_table(path))
    SCHEMA.write(path, SCHEMA.table_of([SOUND]), "1")
    SCHEMA.read(path)
    SCHEMA.read(path)
    assert len(readings) == 2  # it could be written again within the same tick of the clock
    settle(path)
    first = SCHEMA.read(path)
    first["name"] = "changed by who was given it"
    assert SCHEMA.read(path)["name"].tolist() == ["drum"]
    assert len(readings) == 3
    SCHEMA.write(path, SCHEMA.table_of([{**SOUND, "name": "fife"}]), "2")
    settle(path)
    assert SCHEMA.read(path)["name"].tolist() == ["fife"]


def test_a_table_that_is_damaged_or_gone_after_it_was_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "sounds.parquet"
    SCHEMA.write(path, SCHEMA.table_of([SOUND]), "1")
    settle(path)
    SCHEMA.read(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        SCHEMA.read(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        SCHEMA.read(path)


def test_a_large_table_is_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sounds.parquet"
    SCHEMA.write(path, SCHEMA.table_of([SOUND]), "1")
    settle(path)
    monkeypatch.setattr(tables, "BYTES_KEPT", path.stat().st_size - 1)
    SCHEMA.read(path)
    assert not any(kept == path for _, kept in tables._READ)
    monkeypatch.setattr(tables, "BYTES_KEPT", path.stat().st_size)
    SCHEMA.read(path)
    assert any(kept == path for _, kept in tables._READ)


def test_no_more_tables_are_kept_than_a_run_asks_for(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(tables.TABLES_KEPT + 3)]
    for path in paths:
        SCHEMA.write(path, SCHEMA.table_of([SOUND]), "1")
        settle(path)
        SCHEMA.read(path)
    assert [path for _, path in tables._READ] == paths[3:]
