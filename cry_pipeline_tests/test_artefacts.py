"""Files are whole, and found current only when digest and bytes are the ones that were written, whoever else writes."""

import inspect
import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline.artefacts import (
    DamagedFileError,
    MissingFileError,
    NotAFileError,
    current_table,
    is_current,
    leftovers,
    provenance,
    read_json,
    read_table,
    remove_leftovers,
    table_digest,
    write_atomically,
    write_html,
    write_json,
    write_table,
)

SEVERAL = 6
TURNS = 25


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "folds" / "table.parquet"
    write_table(path, pd.DataFrame({"recording_id": ["a", "b"]}), "digest-1", cohort="cleaned")
    return path


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    write_html(path, "<!doctype html>\n<p>UAR 0.170</p>", "digest -- 1")
    return path


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "note.json"
    write_json(path, {"accuracy": 0.17, "über": [1, None]})
    return path


def flips(data: bytes):
    """Yield ``data`` with one bit of every tenth byte flipped."""
    for place in range(0, len(data), 10):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        yield bytes(flipped)


def test_table_is_current_under_its_digest_only(written):
    assert is_current(written, "digest-1")
    assert not is_current(written, "digest-2")
    assert current_table(written, "digest-2") is None
    found = current_table(written, "digest-1")
    assert found is not None
    assert found["recording_id"].tolist() == ["a", "b"]


def test_a_table_says_what_it_was_made_from_in_its_own_file(written):
    said = provenance(written)
    assert (said["digest"], said["rows"], said["inputs"]) == ("digest-1", 2, {"cohort": "cleaned"})
    assert {"cry_pipeline", "written_at", "libraries"} <= set(said)
    assert [path.name for path in written.parent.iterdir()] == ["table.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(written), read_table(written))


def test_any_flipped_bit_of_a_table_is_noticed(written):
    for damaged in flips(written.read_bytes()):
        written.write_bytes(damaged)
        assert not is_current(written, "digest-1")
        with pytest.raises(DamagedFileError, match="is not what was written: materialize table again"):
            read_table(written)


def test_a_torn_table_is_noticed(written):
    data = written.read_bytes()
    for length in range(0, len(data), 50):
        written.write_bytes(data[:length])
        assert current_table(written, "digest-1") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[]", b"NaN", b"null", b"\xff\xfe\x00binary", b'{"sealed": "sha256:', b'"sealed": "sha256:"'],
)
def test_garbage_in_the_place_of_a_table_means_made_again_and_is_said(written, content, caplog):
    written.write_bytes(content)
    assert not is_current(written, "digest-1")
    assert "made again" in caplog.text
    with pytest.raises(DamagedFileError):
        provenance(written)


def test_attributes_of_a_table_are_kept_as_pandas_keeps_them(tmp_path):
    table = pd.DataFrame({"a": [1]})
    table.attrs["seeds"] = [0, 7]
    write_table(tmp_path / "a.parquet", table, "own")
    assert read_table(tmp_path / "a.parquet").attrs == {"seeds": [0, 7]}


def test_a_table_of_another_hand_is_not_taken_for_ours(written):
    pd.read_parquet(written).to_parquet(written)
    assert not is_current(written, "digest-1")
    with pytest.raises(DamagedFileError, match="materialize table again"):
        read_table(written)


def test_a_missing_file_is_said_to_be_missing(written):
    written.unlink()
    assert not is_current(written, "digest-1")
    with pytest.raises(FileNotFoundError, match="materialize table"):
        read_table(written)
    with pytest.raises(MissingFileError, match=r"there is no .*note\.json: evaluate again"):
        read_json(written.with_name("note.json"), "evaluate again")


def test_a_table_without_rows_or_with_seals_in_its_cells_is_read_as_it_was(tmp_path):
    seal = '{"sealed": "sha256:' + "0" * 64 + '", "digest": "other"}'
    for table in (pd.DataFrame({"a": pd.Series([], dtype="str")}), pd.DataFrame({"a": [seal, "b"]})):
        write_table(tmp_path / "a.parquet", table, "own")
        pd.testing.assert_frame_equal(read_table(tmp_path / "a.parquet"), table)
        assert is_current(tmp_path / "a.parquet", "own")


def test_json_is_read_only_as_it_was_written(note):
    assert read_json(note) == {"accuracy": 0.17, "über": [1, None]}
    whole = note.read_bytes()
    for damaged in [*flips(whole), *(whole[:length] for length in range(0, len(whole), 7))]:
        note.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"note\.json is not what was written: evaluate again"):
            read_json(note, "evaluate again")


@pytest.mark.parametrize("content", [b"[]", b"null", b"NaN", b"3", b'{"accuracy": 0.97}', b"\xff\xfe"])
def test_json_of_another_hand_is_refused(note, content):
    note.write_bytes(content)
    with pytest.raises(DamagedFileError, match="is not what was written"):
        read_json(note)


def test_json_holds_no_number_that_is_none_and_no_seal_of_its_own(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    with pytest.raises(ValueError, match="name of the file's checksum"):
        write_json(tmp_path / "a.json", {"sealed": "x"})
    nested = {"inner": {"sealed": "sha256:" + "0" * 64}}
    write_json(tmp_path / "a.json", nested)
    assert read_json(tmp_path / "a.json") == nested


def test_page_is_current_by_key_and_by_bytes(page):
    assert is_current(page, "digest -- 1")
    assert not is_current(page, "digest -- 2")
    assert provenance(page)["digest"] == "digest -- 1"
    whole = page.read_bytes()
    comment = whole.decode().rpartition("<!--")[2]
    assert comment.count("--") == 1, "the digest must not end the comment"
    for damaged in [*flips(whole), whole[:-9], b""]:
        page.write_bytes(damaged)
        assert not is_current(page, "digest -- 1")


@pytest.mark.parametrize("stands", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_never_read_nor_waited_for(note, stands):
    note.unlink()
    stands(note)
    with pytest.raises(DamagedFileError, match=r"note\.json.*then evaluate again|there is no .*: evaluate again"):
        read_json(note, "then evaluate again" if note.exists() else "evaluate again")
    assert not is_current(note, "digest-1")
    assert current_table(note, "digest-1") is None


def test_a_file_takes_the_place_of_a_pipe_or_a_link_but_not_of_a_folder(tmp_path):
    path = tmp_path / "note.json"
    os.mkfifo(path)
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.unlink()
    path.symlink_to("nowhere")
    write_json(path, {"a": 2})
    assert read_json(path) == {"a": 2}
    path.unlink()
    path.mkdir()
    (path / "of somebody").touch()
    with pytest.raises(NotAFileError, match="no file, and one belongs here: move it away"):
        write_json(path, {"a": 3})
    assert [each.name for each in path.iterdir()] == ["of somebody"]
    assert [each.name for each in tmp_path.iterdir()] == ["note.json"]


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def contend(path: Path, name: str, turns: int) -> list[str]:
    """Write tables of ``name``, and read between; return what was read that no writer wrote."""
    wrong = []
    for turn in range(turns):
        write_table(path, pd.DataFrame({"writer": [name] * (1 + turn)}), name)
        found, mine = read_table(path), current_table(path, name)
        if len(set(found["writer"])) != 1:
            wrong.append(f"a mix: {set(found['writer'])}")
        if mine is not None and set(mine["writer"]) != {name}:
            wrong.append(f"{set(mine['writer'])} under the digest of {name}")
    return wrong


def test_tables_of_several_threads_are_never_mixed(tmp_path):
    path = tmp_path / "table.parquet"
    with ThreadPoolExecutor(SEVERAL) as pool:
        wrong = list(pool.map(lambda number: contend(path, f"writer-{number}", TURNS), range(SEVERAL)))
    assert wrong == [[]] * SEVERAL
    assert list(tmp_path.iterdir()) == [path]


CONTENDER = f"""
import os, sys, time
from pathlib import Path

import pandas as pd
from cry_pipeline.artefacts import current_table, read_table, write_table

{inspect.getsource(contend)}

folder, name, other, turns = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
(folder / name).touch()
while not (folder / other).exists():
    time.sleep(0.01)
print(contend(folder / "table.parquet", name, turns), flush=True)
os._exit(0)  # threads of pyarrow's now and then abort a process that ends on a busy machine
"""
"""Waits for the other to begin, so that two do write side by side."""


def test_tables_of_several_processes_are_never_mixed(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, tmp_path, own, other, str(TURNS)], stdout=subprocess.PIPE, text=True
        )
        for own, other in (("a", "b"), ("b", "a"))
    ]
    ended = [(writer.communicate(timeout=120)[0].strip(), writer.returncode) for writer in writers]
    assert ended == [("[]", 0), ("[]", 0)]
    assert {each.name for each in tmp_path.iterdir()} == {"table.parquet", "a", "b"}


KILLED = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from cry_pipeline import artefacts

    path, step = Path(sys.argv[1]), int(sys.argv[2])
    steps = []

    def watched(function, before):
        def call(*arguments):
            if not before:
                function(*arguments)
            steps.append(function)
            if len(steps) == step:
                os._exit(9)
            return function(*arguments) if before else None
        return call

    os.fsync = watched(os.fsync, True)
    Path.replace = watched(Path.replace, False)
    Path.write_bytes = watched(Path.write_bytes, False)
    artefacts.write_json(path, {"state": "new"})
    print(len(steps))
""")
"""Ends as a killed process does at the n-th of: bytes written, file synced, renamed, folder synced."""


def test_a_writer_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path):
    states, path = [], tmp_path / "state.json"
    for step in range(1, 6):
        write_json(path, {"state": "old"})
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, path, str(step)], capture_output=True, text=True, check=False
        )
        states.append((ended.returncode, read_json(path)["state"]))
    assert states == [(9, "old"), (9, "old"), (9, "new"), (9, "new"), (0, "new")], "four steps, then it is done"


def test_what_killed_writers_left_is_known_by_its_name_and_age(tmp_path):
    folder = tmp_path / "reports"
    write_json(folder / "kept.json", {})
    names = [f".kept.json.{'0a' * 16}.tmp", ".table.parquet.4711.tmp"]
    for name in [*names, ".other.tmp", "notes.tmp", f".young.json.{'0b' * 16}.tmp"]:
        (folder / name).write_text("{")
    for name in [*names, ".other.tmp", "notes.tmp", "kept.json"]:
        os.utime(folder / name, (0, 0))
    assert [path.name for path in leftovers(tmp_path, age_s=3600)] == sorted(names)
    assert [path.name for path in remove_leftovers(tmp_path, age_s=3600)] == sorted(names)
    assert leftovers(tmp_path, age_s=3600) == []
    assert {"kept.json", ".other.tmp", "notes.tmp", f".young.json.{'0b' * 16}.tmp"} == {
        path.name for path in folder.iterdir()
    }


def test_json_stays_readable_for_people_and_other_tools(note):
    assert note.read_text(encoding="utf-8").startswith('{\n  "accuracy": 0.17,\n  "über"')
    assert json.loads(note.read_text(encoding="utf-8"))["accuracy"] == 0.17


def test_table_digest_takes_in_names_values_and_order():
    table = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2015-03-01", "2015-03-02"], utc=True)})
    same = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2015-03-01", "2015-03-02"], utc=True)}, index=[7, 9])
    assert table_digest(table) == table_digest(same)
    others = [table.rename(columns={"a": "b"}), table.assign(a=[2, 1]), table.iloc[::-1], table[["t", "a"]]]
    assert len({table_digest(other) for other in [table, *others]}) == 5
