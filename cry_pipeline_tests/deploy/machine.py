"""A machine for a deployment: real PostgreSQL, and the shipped services as processes that see what a container sees.

Belongs here: namespaces, processes, their start and end. Does not: which commands (shipped.py), nor faults.

No container engine is asked for. `unshare` gives the machine its own network and mounts, so that addresses, ports and
paths are those of the files; each service has PIDs, a host name, a /tmp and a read-only root of its own, and runs as
the user of the image without any capability. Only root may do that.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cry_pipeline.deploy.install import REPOSITORY
from cry_pipeline_tests.deploy.shipped import OF_A_USER, Shipped, of_compose
from cry_pipeline_tests.processes import wait_until

MINUTES = 60.0
ASKED_EVERY_S = 5.0
"""How often a health check is called: each starts Python, and loads Dagster."""
DATABASE = "cry_pipeline"
HOSTS = "127.0.0.1 localhost database code-server webserver site\n"
USER_ID = 10001
NEEDED = ("unshare", "nsenter", "setpriv", "mount", "ip", "hostname")
PLACES = {
    "/opt": ["cry_pipeline/.venv", "cry_pipeline/cry_pipeline", "cry_pipeline/cry_pipeline_tests"],
    "/srv": ["corpus", "catalog"],
    "/var/lib": ["cry_pipeline"],
    "/run": ["secrets"],
}
"""Folders that the machine has of its own, and what is mounted there."""
ROOM = """
mkdir -p {below}; mount --bind {root} {below}; mount -t tmpfs -o mode=0755 tmpfs {root}
for entry in {below}/*; do
    if [ -L "$entry" ]; then cp -P "$entry" {root}/
    elif [ -d "$entry" ]; then mkdir -p {root}/"${{entry##*/}}"; mount --bind "$entry" {root}/"${{entry##*/}}"; fi
done"""
"""Puts a folder over another one, with what that holds in it: a Python may lie there."""


def missing() -> str | None:
    """Return what this machine lacks for it, or None."""
    if os.geteuid() != 0:
        return "only root may give services namespaces, read-only roots and users of their own"
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return f"{', '.join(lacking)}: not installed"
    if postgresql() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if Path("/tmp") in REPOSITORY.parents:  # noqa: S108 - of the machine, not of this test
        return f"{REPOSITORY} lies in /tmp, of which each service has one of its own: clone it elsewhere"
    tried = subprocess.run(["unshare", "-n", "-m", "-p", "--fork", "true"], capture_output=True, text=True, check=False)
    return f"no namespaces can be made here: {tried.stderr.strip()}" if tried.returncode else None


def postgresql() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, of version 15 or later."""
    found = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    return max((each for each in found if int(each.parent.name) >= 15), default=None, key=lambda each: each.parent.name)


@dataclass
class Container:
    """A service that runs: its process here is `unshare`, whose child is the service, number 1 of its own PIDs."""

    shipped: Shipped
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def first(self) -> int:
        """The number, here, of the service's own process; 0 before it has begun."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def kill(self) -> None:
        """End it at once, with all that it started, as the system does with a container out of memory."""
        # Its number 1, and with that all of its PIDs. `unshare` cannot pass it on: who changes user forgets that.
        if number := self.first:
            os.kill(number, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def is_running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace")


@dataclass
class Machine:
    """One machine: where its things lie here, and what runs on it."""

    base: Path
    holder: int
    environment: dict[str, str]
    """What a user adds to that of compose.yaml: settings of the test's installation."""
    running: dict[str, Container] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def database_url(self) -> str:
        """The database by its socket, which is a file: for the tests' own process, outside of the machine's network."""
        user = f"{DATABASE}:{OF_A_USER['POSTGRES_PASSWORD']}"
        return f"postgresql+psycopg2://{user}@/{DATABASE}?host={self.base / 'socket'}"

    def inside(self, *command: str) -> list[str]:
        """Return ``command`` as it is called on the machine."""
        return ["nsenter", "-t", str(self.holder), "-n", "-m", "--", *command]

    def start_database(self) -> float:
        """Start PostgreSQL; return how many seconds it took to answer."""
        began = time.monotonic()
        folder = postgresql()
        assert folder is not None
        listen = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.base / 'socket'}"]
        command = [str(folder / "postgres"), "-D", str(self.base / "database"), *listen]
        with (self.base / "database.log").open("ab") as log:
            user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
            self.server = subprocess.Popen(self.inside(*user, *command), stdout=log, stderr=log, cwd="/")
        ready = [str(folder / "pg_isready"), "-q", "-h", str(self.base / "socket")]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL answers", MINUTES)
        return time.monotonic() - began

    def stop_database(self, number: int = signal.SIGINT) -> None:
        """Stop PostgreSQL: SIGINT lets no client finish, SIGQUIT is a crash."""
        assert self.server is not None
        self.server.send_signal(number)
        self.server.wait(MINUTES)

    def start(self, name: str, shipped: Shipped | None = None, user: int = USER_ID) -> Container:
        """Start a service, by default that of compose.yaml, as a container of its own."""
        service = shipped or of_compose()[name]
        home = {"PATH": f"/opt/cry_pipeline/.venv/bin:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}
        environment = home | {key: str(value) for key, value in service.environment.items()} | self.environment
        setup = (
            f"hostname {name} && mount -t tmpfs -o size=2g,mode=1777 tmpfs /tmp && mount -o remount,ro,bind / && "
            'cd / && exec setpriv "$@"'
        )
        rights = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
        own = ["unshare", "--pid", "--fork", "--kill-child", "--uts", "--mount", "--mount-proc", "sh", "-c", setup]
        log = self.base / f"{name}.log"
        log.touch()
        log.chmod(0o666)  # a service may open what it writes to by its name, /dev/stdout
        with log.open("ab") as written:
            process = subprocess.Popen(
                self.inside(*own, "sh", *rights, "--bounding-set=-all", "--", *service.command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
            )
        self.running[name] = Container(service, process, log)
        return self.running[name]

    def run(self, name: str, *command: str, timeout_s: float = 5 * MINUTES) -> "subprocess.CompletedProcess[str]":
        """Run ``command`` inside a running service, as `docker compose exec` does."""
        container = self.running[name]
        inside = ["nsenter", "-t", str(container.first), "-n", "-m", "-p", "-u", "--"]
        user = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--no-new-privs", "--"]
        said = Path(f"/proc/{container.first}/environ").read_bytes().decode().split("\0")
        environment = dict(pair.split("=", 1) for pair in said if pair)
        return subprocess.run(
            [*inside, *user, *command],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def is_healthy(self, name: str) -> bool:
        """Whether the service's own health check, of compose.yaml, says so."""
        container = self.running[name]
        assert container.is_running(), f"{name}: {container.said()[-3000:]}"
        assert container.shipped.health is not None
        time.sleep(ASKED_EVERY_S)
        return container.first != 0 and self.run(name, *container.shipped.health).returncode == 0

    def start_healthy(self, *names: str) -> float:
        """Start services and wait until all are healthy; return how many seconds that took."""
        began = time.monotonic()
        for name in names:
            self.start(name)
        for name in names:
            wait_until(lambda name=name: self.is_healthy(name), f"{name} is healthy", 6 * MINUTES)
        return time.monotonic() - began

    def resize_disk(self, kib: int) -> None:
        """Make the disk of the data folder smaller or larger."""
        subprocess.run(["mount", "-o", f"remount,size={kib}k", self.data], check=True)

    def prepare(self) -> str:
        """Let the service `prepare` do its work; return what it said."""
        container = self.start("prepare")
        assert container.process.wait(5 * MINUTES) == 0, container.said()
        return container.said()

    def host_pid(self, number: int, numbered_in: str) -> int:
        """Return the number, here, of the process that has ``number`` in a PID namespace."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if str((folder / "ns/pid").readlink()) == numbered_in:
                    (line,) = (one for one in (folder / "status").read_text().splitlines() if one.startswith("NSpid"))
                    if int(line.split()[-1]) == number:
                        return int(folder.name)
            except OSError:
                continue
        raise ProcessLookupError(number)


@contextmanager
def machine(corpus: Path, catalog: Path, settings: Mapping[str, str]) -> Iterator[Machine]:
    """Give a machine with a database that runs; at the end nothing of it does, and its folder is gone."""
    with ExitStack() as stack:
        # Not in /tmp: each service has one of its own.
        base = Path(tempfile.mkdtemp(prefix="cry_pipeline_deploy_", dir="/var/tmp"))
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        base.chmod(0o755)
        (base / "data").mkdir()
        # Before the machine has mounts of its own, so that its disk can be made smaller from here.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", base / "data"], check=True)
        stack.callback(subprocess.run, ["umount", "--lazy", base / "data"], check=False)
        shutil.chown(base / "data", USER_ID)
        holder = subprocess.Popen(["unshare", "-n", "-m", "sleep", "infinity"])
        stack.callback(holder.wait)
        stack.callback(holder.kill)
        own = f"/proc/{holder.pid}/ns/net"
        wait_until(lambda: Path(own).readlink() != Path("/proc/self/ns/net").readlink(), "the machine has a network")
        own_settings = {"CRY_PIPELINE_CATALOG": "/srv/catalog", "PYTHONPATH": "/opt/cry_pipeline", **settings}
        made = Machine(base, holder.pid, own_settings)
        stack.callback(_end, made)
        _furnish(made, corpus, catalog)
        made.start_database()
        yield made


def _furnish(made: Machine, corpus: Path, catalog: Path) -> None:
    (made.base / "hosts").write_text(HOSTS)
    (made.base / "secrets").mkdir()
    for name in ("database", "socket"):
        (made.base / name).mkdir()
        shutil.chown(made.base / name, "nobody")
    # Copies, the code's too: what is edited meanwhile is none of a run's business.
    code = {name: REPOSITORY / name for name in ("cry_pipeline", "cry_pipeline_tests")}
    for name, source in {"corpus": corpus, "catalog": catalog, **code}.items():
        shutil.copytree(source, made.base / name, ignore=shutil.ignore_patterns("__pycache__"))
    sources = {
        "/opt/cry_pipeline/.venv": REPOSITORY / ".venv",
        "/opt/cry_pipeline/cry_pipeline": made.base / "cry_pipeline",
        "/opt/cry_pipeline/cry_pipeline_tests": made.base / "cry_pipeline_tests",
        "/srv/corpus": made.base / "corpus",
        "/srv/catalog": made.base / "catalog",
        "/var/lib/cry_pipeline": made.data,
        "/etc/hosts": made.base / "hosts",
        "/run/secrets": made.base / "secrets",
    }
    lines = ["ip link set lo up"]
    for root, inside in PLACES.items():
        lines += [ROOM.format(root=root, below=made.base / "below" / root.strip("/"))]
        lines += [f"mkdir -p {root}/{name}" for name in inside]
    lines += [f"mount --bind '{source.resolve()}' {place}" for place, source in sources.items()]
    lines += [f"mount -o remount,ro {root}" for root in PLACES]
    python = Path(sys.base_prefix)
    closed = next((folder for folder in reversed(python.parents) if not folder.stat().st_mode & 0o001), None)
    if closed is not None:  # in root's own home, say: for a service's user, the way to it has to be open
        below = made.base / "below" / "python"
        lines += [f"mkdir -p {below}", f"mount --bind {python} {below}", f"mount -t tmpfs -o mode=0755 tmpfs {closed}"]
        lines += [f"mkdir -p {python}", f"mount --bind {below} {python}"]
    subprocess.run(made.inside("sh", "-e", "-c", "\n".join(lines)), check=True)
    folder, password = postgresql(), made.base / "password"
    assert folder is not None
    password.write_text(OF_A_USER["POSTGRES_PASSWORD"])
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
    initdb = [str(folder / "initdb"), "-D", str(made.base / "database"), "-U", DATABASE, f"--pwfile={password}"]
    initdb += ["--auth=scram-sha-256", "-E", "UTF8", "-N"]
    subprocess.run([*user, *initdb], check=True, capture_output=True, cwd="/")
    made.start_database()
    server = {"PGPASSWORD": password.read_text(), "PATH": os.environ["PATH"]}
    create = [str(folder / "createdb"), "-h", str(made.base / "socket"), "-U", DATABASE, DATABASE]
    subprocess.run(create, check=True, env=server)
    made.stop_database()


def _end(made: Machine) -> None:
    for container in made.running.values():
        if container.is_running():
            container.kill()
    if made.server is not None and made.server.poll() is None:
        made.stop_database(signal.SIGQUIT)
