"""What is said where there is no Ray, no cluster, no head, or nobody who can work; without starting any."""

import logging
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from cry_pipeline.engine import EngineError
from cry_pipeline.engine import ray as engine
from cry_pipeline.engine.ray import HEAD_S, NOBODY_S, Ray


class Clock:
    """Stands still until it is told to go on."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now


class Head:
    """A port that answers, until it is closed, and what a Ray that has joined there says of its nodes."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.cpus = 0.0

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=self.address)

    def cluster_resources(self) -> dict[str, float]:
        return {"memory": 1e9} | ({"CPU": self.cpus} if self.cpus else {})


@pytest.fixture
def head() -> Iterator[Head]:
    found = Head()
    yield found
    found.listening.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(engine, "time", clock)
    return clock


def test_a_head_that_is_silent_for_long_is_said_and_one_that_comes_back_is_not(head: Head, clock: Clock) -> None:
    head.cpus = 3.0
    cluster = engine._Cluster(head)
    assert cluster.size() == 3
    head.listening.close()
    clock.now += 2
    cluster.look()
    clock.now += HEAD_S - 1
    cluster.look()
    port = int(head.address.rpartition(":")[2])
    head.listening = socket.create_server(("127.0.0.1", port))
    clock.now += 2
    cluster.look()
    head.listening.close()
    clock.now += 2
    cluster.look()
    clock.now += HEAD_S + 1
    with pytest.raises(
        EngineError, match=f"The head of the Ray cluster, {head.address}, has not answered for 30 s.*kept"
    ):
        cluster.look()


def test_a_node_is_waited_for_and_not_for_ever(head: Head, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    cluster = engine._Cluster(head)
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        assert cluster.size() == 1
    assert "one is waited for, 600 s at most" in caplog.text
    clock.now += NOBODY_S - 1
    head.cpus = 2.0
    assert cluster.size() == 2
    head.cpus = 0.0
    clock.now += 20
    cluster.look()
    clock.now += NOBODY_S + 1
    with pytest.raises(EngineError, match=r"No node of the Ray cluster .* had a CPU for tasks for 600 s.*start nodes"):
        cluster.look()


def test_where_ray_is_not_installed_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"CRY_PIPELINE_ENGINE is ray, and Ray is not installed.*cry-pipeline\[ray\]"):
        list(Ray(2).map(abs, [1]))


def test_an_address_of_rays_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://somewhere:10001")
    with pytest.raises(EngineError, match="a client's address: run this on a node of the cluster"):
        engine._join(SimpleNamespace(), 2)


def test_a_cluster_that_cannot_be_joined_is_said_with_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise Exception("no such head")  # noqa: TRY002 - as Ray does

    for address, said in [
        ("10.0.0.1:6379", "at RAY_ADDRESS=10.0.0.1:6379 cannot be joined"),
        ("", "cannot be started"),
    ]:
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(EngineError, match=rf"{said}: no such head\. Mend that, or set it to local"):
            engine._join(SimpleNamespace(init=init), 2)
