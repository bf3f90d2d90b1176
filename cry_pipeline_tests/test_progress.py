"""Long work is seen to move: lines in a log, sparsely; a bar that fits its terminal."""

import io
import logging
import re

import pytest

from cry_pipeline import progress


def test_log_gets_a_line_with_rate_and_time_left_every_interval(caplog, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO, logger="cry_pipeline"):
        assert list(progress.track(range(9), "decode")) == list(range(9))
    assert [record.message for record in caplog.records] == [
        "decode: 3/9 recordings, 4.0 s each, 24 s left",
        "decode: 6/9 recordings, 4.0 s each, 12 s left",
        "decode: 9/9 recordings, 4.0 s each, 0 s left",
    ]


def test_without_a_stderr_or_with_more_than_was_announced_nothing_is_wrong(caplog, monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress.sys, "stderr", None)
    with caplog.at_level(logging.INFO, logger="cry_pipeline"):
        assert list(progress.track(iter("abc"), "decode", total=2)) == list("abc")
    assert caplog.messages[-1] == "decode: 3/2 recordings, 20.0 s each, 0 s left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", ["decode", "curation_logistic_regression_donor_grouped_babycare_22k fold 0-4"])
def test_a_bar_fits_the_terminal_and_its_figures_are_whole(name, columns, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    for _ in progress.track(range(12345), name, unit="recordings"):
        pass
    bars = re.findall(r"[^\r]*recordings[^\r]*", terminal.getvalue())
    assert bars
    assert max(map(len, bars)) < columns
    assert all(re.search(r"\d+/12345 recordings \[[\d:]+<[\d:?]+\]", bar) for bar in bars)
    assert all(bar.startswith(name[0]) and f"{name[-1]}:" in bar for bar in bars)


def test_a_bar_without_an_end_tells_how_many(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    list(progress.track(iter("abc"), "decode", unit="files"))
    assert "decode: 0 files [00:00]" in terminal.getvalue()
    assert "%" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("width", "expected"), [(20, "abcdefgh"), (8, "abcdefgh"), (7, "abc…fgh"), (4, "ab…h"), (0, "a…h")]
)
def test_a_shortened_name_keeps_both_ends(width, expected):
    assert progress.shortened("abcdefgh", width) == expected
