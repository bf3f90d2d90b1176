"""Work that the engine spreads over nodes is all done, once for whoever asked, whichever part of the cluster is lost.

Some minutes each; ``make test-ray``. Each test prints how long it took until all was well again.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cry_pipeline_tests.processes import wait_until
from cry_pipeline_tests.ray import clusters, spreading
from cry_pipeline_tests.ray.clusters import Cluster
from cry_pipeline_tests.ray.conftest import ROLES, report

pytestmark = pytest.mark.ray

ITEMS = 24
LIMIT_S = 300.0
"""Within which a driver has to come to an end, whatever is lost; work alone takes 20 s, and as long where one node is
left."""
ITEMS_WITHOUT_HEAD = 80
"""Nodes work on for a while without their head, and would be done with fewer."""
HEAD_LIMIT_S = 120.0
"""Within which it has to say that the head is lost."""


class Driver:
    """A process on the node `left` that spreads work; with the head it would die without a word, as Ray wants it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder, self.items = cluster, folder, ITEMS

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it; on a node, as Ray wants it."""
        environment = {**self.cluster.environment, "RAY_ADDRESS": self.cluster.address}
        node = self.cluster.nodes["left"]
        command = [sys.executable, spreading.__file__, str(self.folder), str(self.items), node.address]
        with (self.folder / "driver.log").open("ab") as log:
            return subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{node.name}", *command],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def said(self) -> list[str]:
        """What it has said so far."""
        path = self.folder / "said"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        """What it said otherwise."""
        return (self.folder / "driver.log").read_text()

    def is_in_the_middle(self) -> bool:
        """Whether a quarter is done."""
        return len(self.said()) >= self.items // 4

    def check_whole(self) -> None:
        """Assert that each item came back once, and has its row."""
        assert Counter(self.said()) == Counter(f"done {item}" for item in range(self.items)), self.log
        self.check_rows()

    def check_rows(self) -> None:
        """Assert that each item has its row."""
        rows = sorted(path.read_text() for path in self.folder.glob("row-*"))
        assert rows == sorted(f"row {item}\n" for item in range(self.items))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head and two nodes of one CPU."""
    root = str(Path(__file__).parents[2])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRY_PIPELINE_", "RAY_"))}
    with clusters.network({**kept, "PYTHONPATH": root}) as found:
        clusters.start(found, dict.fromkeys(ROLES, 1))
        yield found


@pytest.fixture
def driver(cluster: Cluster, tmp_path: Path) -> Driver:
    cluster.restore()
    return Driver(cluster, tmp_path)


def lose_a_worker(cluster: Cluster) -> Callable[[], object]:
    node = cluster.nodes["right"]
    assert node.send(signal.SIGKILL, "ray::_perform")
    return lambda: None


def lose_a_raylet(cluster: Cluster) -> Callable[[], object]:
    assert cluster.nodes["right"].send(signal.SIGKILL, clusters.RAYLET) == 1
    return lambda: None


def lose_a_node(cluster: Cluster) -> Callable[[], object]:
    cluster.nodes["right"].kill()
    return lambda: None


def cut_off_a_node(cluster: Cluster) -> Callable[[], object]:
    cluster.nodes["right"].cut()
    return cluster.nodes["right"].mend


@pytest.mark.parametrize("lose", [lose_a_worker, lose_a_raylet, lose_a_node, cut_off_a_node])
def test_all_is_done_whatever_is_lost(lose: Callable[[Cluster], Callable[[], object]], driver: Driver) -> None:
    process = driver.start()
    try:
        wait_until(driver.is_in_the_middle, "a quarter is done", LIMIT_S)
        time.sleep(spreading.WORK_S / 2)  # an item has just come back; not between two, but within one
        began, before = time.monotonic(), len(driver.said())
        mend = lose(driver.cluster)
        try:
            assert process.wait(LIMIT_S) == 0, driver.log + "\n".join(driver.said())
        finally:
            mend()
        lost_s = time.monotonic() - began - (ITEMS - before) * spreading.WORK_S / 2
        report(f"{lose.__name__}: nothing lost, {lost_s:.0f} s longer than the work alone")
    finally:
        process.kill()
    driver.check_whole()


def test_a_lost_head_is_said_and_the_same_command_goes_on_when_it_is_back(driver: Driver) -> None:
    driver.items = ITEMS_WITHOUT_HEAD
    process, cluster = driver.start(), driver.cluster
    try:
        wait_until(driver.is_in_the_middle, "a quarter is done", LIMIT_S)
        began = time.monotonic()
        cluster.head.kill()
        code = process.wait(HEAD_LIMIT_S)
        report(f"a lost head: said after {time.monotonic() - began:.0f} s")
        assert code == 3, f"{code}: {driver.log}"
        assert driver.said()[-1].startswith("EngineError: The head of the Ray cluster"), driver.said()
    finally:
        process.kill()
    cluster.restore()
    process = driver.start()
    assert process.wait(LIMIT_S) == 0, driver.log
    driver.check_rows()
    done = Counter(line for line in driver.said() if line.startswith("done"))
    assert max(done.values()) == 1, "what was finished is not done again"
