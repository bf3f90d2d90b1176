"""A Ray cluster of several nodes on this machine, each a `ray start` of its own, to kill and cut off parts of.

Belongs here: nodes, their processes and their network. Does not: what is done on them, nor what comes of it.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from cry_pipeline_tests.processes import is_alive, wait_until

RAY = str(Path(sys.executable).with_name("ray"))
DASHBOARD_PORT, GCS_PORT = 8265, 6379
PORTS = {
    "dashboard-agent-listen": 52365,
    "dashboard-agent-grpc": 52366,
    "runtime-env-agent": 52367,
    "metrics-export": 52368,
    "node-manager": 52369,
    "object-manager": 52370,
}
RAYLET = "raylet/raylet"
OBJECT_STORE_BYTES = 100 * 2**20
STARTED_S = 300.0
IN_NAMESPACES = os.geteuid() == 0 and shutil.which("ip") is not None and shutil.which("nsenter") is not None
"""Whether nodes get a network of their own; there is no cutting one off without."""


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


class Node:
    """One node: a network of its own, and all processes in it."""

    def __init__(self, name: str, address: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name, self.address, self._log = name, address, folder / f"{name}.log"
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._options: tuple[str, ...] = ()

    def start(self, *options: str) -> None:
        """Start the node with these options of `ray start`; it is up once the cluster says so.

        Not with ``--block``: `ray start` then ends the whole node once any of its parts does, the dashboard too, and
        the server of Ray's clients where the machine is busy.
        """
        self._options = options
        command = ["nsenter", f"--net=/run/netns/{self.name}", RAY, "start", "--disable-usage-stats"]
        command += [f"--node-ip-address={self.address}", f"--object-store-memory={OBJECT_STORE_BYTES}", *options]
        # Free on every node. Else the raylet waits for its agents to say theirs, and ends after 30 s on a busy machine.
        command += [f"--{part}-port={port}" for part, port in PORTS.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def start_again(self) -> None:
        """Start it as it was started before."""
        self.kill()
        self.start(*self._options)

    def has_failed(self) -> bool:
        """Whether `ray start` gave up."""
        return self._process is not None and bool(self._process.poll())

    @property
    def said(self) -> str:
        """What `ray start` said."""
        return self._log.read_text(errors="replace")

    def pids(self, *words: str) -> list[int]:
        """Return the living processes of this node whose command line holds all of ``words``."""
        found = []
        for pid in _ip("netns", "pids", self.name).split():
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(word in command for word in words) and is_alive(int(pid)):
                    found.append(int(pid))
        return found

    def send(self, number: signal.Signals, *words: str) -> int:
        """Send a signal to the processes whose command line holds ``words``; return how many there were."""
        pids = self.pids(*words)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)

    def kill(self) -> None:
        """Let the whole node end at once, as a machine does that goes off."""
        while self.send(signal.SIGKILL):
            time.sleep(0.05)
        if self._process is not None:
            self._process.wait(10)  # `ray start` itself

    def cut(self) -> None:
        """Take the cable out: the node goes on, and nobody hears of it."""
        _ip("link", "set", f"{self.name}", "down")

    def mend(self) -> None:
        """Put the cable back."""
        _ip("link", "set", f"{self.name}", "up")


class Cluster:
    """A head without a CPU for work, and nodes that have some, joined by a bridge that this process reaches, too."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        of_ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.environment = {**environment, **of_ray}
        number = os.getpid() % 60_000
        self._prefix, self._subnet = f"cry{number}", f"10.{130 + number // 250 % 100}.{number % 250}"
        self._bridge = f"{self._prefix}b"
        self.gateway = f"{self._subnet}.1"
        """Address of this process, as nodes reach it."""
        self.nodes: dict[str, Node] = {}
        self._cpus: dict[str, int] = {}

    @property
    def head(self) -> Node:
        """The node that knows all others; runs nothing itself."""
        return self.nodes["head"]

    @property
    def address(self) -> str:
        """What `RAY_ADDRESS` is set to, to join."""
        return f"{self.head.address}:{GCS_PORT}"

    @property
    def dashboard(self) -> str:
        """Where jobs are submitted."""
        return f"http://{self.head.address}:{DASHBOARD_PORT}"

    def make_bridge(self) -> None:
        """Lay the network that all nodes are on."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.gateway}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    def _node(self, role: str) -> Node:
        if role not in self.nodes:
            number = len(self.nodes) + 2
            name, address = f"{self._prefix}{number}", f"{self._subnet}.{number}"
            _ip("netns", "add", name)
            self.nodes[role] = Node(name, address, self.folder, self.environment)
            _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", name, "master", self._bridge, "up")
            for words in (("addr", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
                _ip("-n", name, *words)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "route", "add", "default", "via", self.gateway)
        return self.nodes[role]

    def start_head(self) -> Node:
        """Start the head, or start it again, as new."""
        head = self._node("head")
        head.start(
            *("--head", "--num-cpus=0", f"--port={GCS_PORT}", f"--temp-dir={self.folder / 'ray'}"),
            *("--dashboard-host=0.0.0.0", f"--dashboard-port={DASHBOARD_PORT}"),
        )
        _started(head, lambda: self.is_up() and head.address in self.alive())
        return head

    def start_worker(self, role: str, cpus: int = 1) -> Node:
        """Start a node that works, called ``role``, or start it again."""
        node, self._cpus[role] = self._node(role), cpus
        # A folder of its own: two raylets that start at the same time in one get in each other's way.
        temporary = f"--temp-dir={self.folder / node.name}"
        node.start(f"--address={self.address}", f"--num-cpus={cpus}", temporary)
        _started(node, lambda: node.address in self.alive())
        return node

    def restore(self) -> None:
        """Start again what is not up."""
        if not self.is_up():
            self.head.kill()
            self.start_head()
        for role, node in self.nodes.items():
            # The head takes a node that has just died for alive for a while, also where it is asked for the new one.
            if node.address not in self.alive() or not node.pids(RAYLET):
                node.kill()
                said = f"the head knows that {role} has ended"
                wait_until(lambda node=node: node.address not in self.alive(), said, STARTED_S)
                self.start_worker(role, self._cpus[role])

    def is_up(self) -> bool:
        """Whether the head takes jobs."""
        try:
            return self._get("/api/version").ok
        except requests.RequestException:
            return False

    def _get(self, path: str) -> requests.Response:
        token = self.environment["RAY_AUTH_TOKEN"]
        return requests.get(f"{self.dashboard}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def alive(self) -> set[str]:
        """Return the addresses of nodes that the head takes for alive."""
        try:
            answer = self._get("/nodes?view=summary").json()
        except requests.RequestException:
            return set()
        raylets = [node["raylet"] for node in answer["data"]["summary"]]
        return {raylet["nodeManagerAddress"] for raylet in raylets if raylet.get("state") == "ALIVE"}

    def end(self) -> None:
        """End all processes, and take the network away."""
        for node in self.nodes.values():
            node.kill()
            _ip("link", "del", node.name)
            _ip("netns", "del", node.name)
        _ip("link", "del", self._bridge)


def _started(node: Node, is_there: Callable[[], bool]) -> None:
    until = time.monotonic() + STARTED_S
    while not is_there():
        # On a busy machine `ray start` gives up after 30 s, while what it has started goes on, and mostly joins.
        if node.has_failed() and not node.pids(RAYLET):
            node.start_again()
        assert time.monotonic() < until, f"after {STARTED_S:.0f} s the node is not there: {node.said}"
        time.sleep(0.5)


@contextmanager
def network(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """Lay the network of a cluster whose nodes are started in ``environment``, and take all of it away at last."""
    # A path of the test's own folder is longer than a socket's may be.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # for processes of other users, such as PostgreSQL's
        cluster = Cluster(Path(folder), environment)
        cluster.make_bridge()
        try:
            yield cluster
        finally:
            cluster.end()


def start(cluster: Cluster, workers: Mapping[str, int]) -> None:
    """Start the head, and a node for each of ``workers``, which are names and how many CPUs each has."""
    cluster.start_head()
    for role, cpus in workers.items():
        cluster.start_worker(role, cpus)
