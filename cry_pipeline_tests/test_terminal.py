"""Tables lose nothing, however narrow the terminal."""

import re

import pytest

from cry_pipeline import terminal

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
    assert "0.453   abstained" in shown[0]
    # Folded in the middle of words where need be, but all there.
    assert "".join(shown).count("f") == 20
    assert "".join(shown).count("given") == 12


def test_columns_of_numbers_are_right_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table([{"name": "a", "count": 1}, {"name": "b", "count": 100}])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()][2:] == [
        " a          1",
        " b        100",
    ]
