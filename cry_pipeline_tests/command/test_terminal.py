"""Tables lose nothing, however narrow the terminal; what strangers wrote is shown and not obeyed."""

import logging
import os
import re
from pathlib import Path

import pytest

from cry_pipeline.command import terminal

ROWS = [{"file": "folder/" * 20, "cry": 0.453, "reason": "abstained", "verdict": "no reason is given, " * 12}]


@pytest.mark.parametrize(("columns", "lines"), [(100, 12), (None, 1)])
def test_every_value_is_shown_whole(
    columns: int | None, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if columns:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
    terminal.print_table(ROWS)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    table = [line for line in plain.splitlines() if line.strip()]
    shown = table[2:]
    assert 1 <= len(shown) <= lines
    assert table[0].split() == ["file", "cry", "reason", "verdict"]
    assert "0.453  abstained" in shown[0]
    # Folded in the middle of words where need be, but all there.
    assert "".join(shown).count("f") == 20
    assert "".join(shown).count("given") == 12


def test_columns_of_numbers_are_right_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table([{"name": "a", "count": 1}, {"name": "b", "count": 100}])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()][2:] == [
        "a         1",
        "b       100",
    ]


NAMES = {
    "baby [tired].wav": "baby [tired].wav",
    "x[red]/y.wav": "x[red]/y.wav",
    "room [a/b].wav": "room [a/b].wav",
    "[/].wav": "[/].wav",
    "\\[bold]": "\\[bold]",
    ":baby:.wav": ":baby:.wav",
    "[link=http://x]a": "[link=http://x]a",
    "\x1b[2J\x1b]0;owned\x07.wav": "\\x1b[2J\\x1b]0;owned\\x07.wav",
    "a\nerror: b\t\r\x7f\x9b.wav": "a\\nerror: b\\t\\r\\x7f\\x9b.wav",
    "evil\u202egpj.wav": "evil\\u202egpj.wav",
    os.fsdecode(b"caf\xe9.wav"): "caf\\xe9.wav",
    "\ud800.wav": "\\ud800.wav",
    "größe 赤ちゃん 👶.wav": "größe 赤ちゃん 👶.wav",
}


def test_names_are_shown_as_they_are_and_nothing_in_them_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    for name, expected in NAMES.items():
        assert terminal.shown(name) == expected
        terminal.print_table([{"file": name, "cry": 1}])
        last = capsys.readouterr().out.rstrip().splitlines()[-1]
        assert last.rpartition("1")[0].strip() == expected


def test_titles_and_columns_are_data_too(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table([{"[red]file": 1}], title="[bold]all")
    said = capsys.readouterr().out
    assert "[red]file" in said
    assert "[bold]all" in said


def test_a_name_of_255_bytes_is_shown_whole_on_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    terminal.print_table([{"file": "a" * 251 + ".wav", "cry": "0.998", "verdict": "not a cry"}])
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(len(line) for line in said.splitlines()) <= 80
    table = said.partition("────")[2]
    assert table.count("a") == 251 + "wav not a cry".count("a")


def test_log_lines_show_names_as_data_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("cry_pipeline")
    before = log.handlers[:], log.level
    try:
        terminal.log_to_terminal()
        terminal.log_to_terminal()
        log.warning("%s has %d of %.1f", Path("a\nERROR forged\x1b[31m" + os.fsdecode(b"\xff")), 3, 4.0)
        log.info("plain")
    finally:
        log.handlers[:], level = before
        log.setLevel(level)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "WARNING a\\nERROR forged\\x1b[31m\\xff has 3 of 4.0",
        "INFO    plain",
    ]


@pytest.mark.parametrize("columns", [20, 40, 80, 110])
def test_no_cell_is_cut_short_however_many_columns(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [{f"column {number}": value * number for number in range(1, 10)} for value in (1234567, 7654321)]
    terminal.print_table(rows, title="all")
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(len(line) for line in said.splitlines()) <= columns
    words = said.split()
    assert all(str(value) in words for row in rows for value in row.values())


def test_wide_characters_take_the_room_that_they_need(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    terminal.print_table([{f"{number}": "赤ちゃんの泣き声" for number in range(5)}])
    assert capsys.readouterr().out.count("赤ちゃんの泣き声") == 5


FIGURES = [{"model": "a model on a set", "digest": "82c50f9bd307", "value": "0.946 [0.923, 0.967]", "mels": 128}]


def on_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))


def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("columns", "left_out"), [(58, []), (57, ["digest"]), (44, ["digest"]), (43, ["digest", "mels"])]
)
def test_columns_that_can_be_spared_are_left_out_in_turn_and_named(
    columns: int, left_out: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_terminal(columns, monkeypatch)
    terminal.print_table(FIGURES, spare=("digest", "mels"))
    head, _, row, *rest = said_by(capsys).splitlines()
    assert [name for name in FIGURES[0] if name not in head.split()] == left_out
    assert "0.946 [0.923, 0.967]" in row
    assert ("128" in row) == ("mels" not in left_out)
    assert rest == (
        [f"Not shown in {columns} columns: {', '.join(left_out)}. A pipe gets them all."] if left_out else []
    )


def test_a_short_column_is_folded_between_words_where_that_is_allowed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_terminal(50, monkeypatch)
    terminal.print_table(FIGURES, folded=("model",))
    _, _, first, second = said_by(capsys).splitlines()
    assert "0.946 [0.923, 0.967]" in first
    assert re.sub(r" +", " ", f"{first[:8]} {second}").strip() == "a model on a set"


def test_tables_name_what_is_left_out_of_any_of_them_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_terminal(50, monkeypatch)
    terminal.print_tables({"one": FIGURES, "two": FIGURES}, spare=("digest",))
    said = said_by(capsys)
    assert said.count("digest") == 1
    assert [line.strip() for line in said.splitlines()[::5][:2]] == ["one", "two"]
