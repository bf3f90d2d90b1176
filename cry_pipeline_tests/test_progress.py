"""Long work is seen to move: lines in a log, sparsely."""

import logging

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
