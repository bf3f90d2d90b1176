"""Every engine keeps the promises of the interface: all work is done, faults and log lines arrive, nothing is left."""

import logging
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cry_pipeline import progress
from cry_pipeline.engine import Engine, EngineError, Local, WorkerDiedError, engine_of, local, task
from cry_pipeline_tests.engine.works import dies_at_first, work


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)], scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine of two workers that is always worth starting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "WORTH_PROCESSES_S", -1.0)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield engine_of(request.param, 2)
    if request.param == "ray":
        import ray

        ray.shutdown()


def test_each_item_is_done_once_and_given_back(engine: Engine) -> None:
    done = dict(engine.map(work, [f"task {number}" for number in range(9)]))
    assert sorted(done) == [f"task {number}" for number in range(9)]
    elsewhere = [report for report in done.values() if report.pid != os.getpid()]
    assert len(elsewhere) >= 8, "a local engine does the first one here"
    assert not any(report.shows_progress for report in elsewhere)
    assert not progress._hidden
    assert engine.size() == 2
    assert list(engine.map(work, [])) == []


@pytest.mark.parametrize(("item", "raised"), [("fails", ValueError), ("fails oddly", EngineError)])
def test_what_the_work_raises_is_raised_with_its_traceback(item: str, raised: type[Exception], engine: Engine) -> None:
    with pytest.raises(raised, match="what the work said") as caught:
        list(engine.map(work, ["task", item, "task"]))
    assert "works.py" in str(caught.value.__cause__)


def test_what_the_work_logs_is_logged_here_with_the_workers_name(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        ((_, report),) = [pair for pair in engine.map(work, ["task", "says", "task"]) if pair[0] == "says"]
    (line,) = [record for record in caplog.records if "what the work said" in record.message]
    assert line.levelno == logging.WARNING
    assert line.message.endswith(f"/{report.pid})")
    assert "nobody asks for" not in caplog.text


def test_log_lines_of_one_item_are_bounded(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        list(engine.map(work, ["task", "says too much", "task"]))
    assert "line 499" in caplog.text
    assert "line 500" not in caplog.text
    assert "200 more lines" in caplog.text


def test_an_item_that_kills_its_workers_is_said_and_the_next_work_is_done(engine: Engine) -> None:
    with pytest.raises(WorkerDiedError, match="What was finished is"):
        list(engine.map(work, ["task", "is killed", "task", "task"], retries=1))
    assert dict(engine.map(work, ["task"])).keys() == {"task"}


def test_work_that_nobody_waits_for_any_more_is_given_up(engine: Engine) -> None:
    results = engine.map(work, ["task", *["lasts"] * 20])
    assert next(results)[0] == "task"
    started = time.monotonic()
    results.close()  # pyright: ignore[reportAttributeAccessIssue] - a generator
    assert dict(engine.map(work, ["task", "another", "third"])).keys() == {"task", "another", "third"}
    assert time.monotonic() - started < 50, "not one task of 60 s was waited for"


@pytest.mark.ray
def test_an_item_whose_worker_died_is_given_out_again_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        done = dict(engine_of("ray", 2).map(partial(dies_at_first, tmp_path), ["a", "b", "c"]))
    assert done == {"a": "a", "b": "b", "c": "c"}
    assert caplog.text.count("A worker died; its item is given out again, 1 of 3 times") == 3


def test_little_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "WORTH_PROCESSES_S", 5.0)
    assert {report.pid for _, report in Local(2).map(work, ["a", "b", "c"])} == {os.getpid()}


def test_where_every_item_takes_a_gpu_one_is_done_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "WORTH_PROCESSES_S", -1.0)
    assert {report.pid for _, report in Local(2).map(work, ["a", "b", "c"], gpus=1)} == {os.getpid()}


def test_a_worker_with_another_installation_does_nothing() -> None:
    task.require(task.implementation())
    wanted = task.implementation() | {"torch": "1.0", "cry-pipeline's code": "another"}
    with pytest.raises(EngineError, match=r"cry-pipeline's code: \w+, not another; torch: [\d.+a-z]+, not 1.0"):
        task.require(wanted)
