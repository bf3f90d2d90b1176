"""The Dagster UI and what belongs to it: the code server, the web server, the daemon and the site of reports.

Belongs here: which services `cry-pipeline ui` consists of, and when it can be used. Does not: keeping processes running
(supervisor.py), the command line, nor what the daemon then runs.
"""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import yaml
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from cry_pipeline.orchestration.code_location import CODE_LOCATION, MODULE
from cry_pipeline.orchestration.dead_runs import mark_dead_runs
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.lock import BusyError, Holder, hold
from cry_pipeline.orchestration.supervisor import Service, Supervisor
from cry_pipeline.secret import SecretError
from cry_pipeline.serving.access import Access
from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")
LOCK, SAID = ".ui.lock", "ui.log"
TICK_S = 0.5
ASKED_EVERY_S = 2.0
"""How often code server and UI are asked whether they can be used."""
ANSWER_S = 10.0
"""How long they have to answer."""
DEAF = 3
"""After so many questions in a row without an answer the code is loaded anew."""
LOADING_S = 60.0
"""The other services start when the code server answers, or after this time."""
RELOADING_S = 300
LOADED = """{ workspaceOrError { ... on Workspace { locationEntries {
    locationOrLoadError { __typename ... on PythonError { message errorChain { error { message } } } }
} } } }"""
QUIETLY = ["--log-level", "warning"]


class DeploymentError(RuntimeError):
    """The installation is a deployment, whose services are others; the message says so."""


class PortError(RuntimeError):
    """The UI or the site cannot be served at a port; the message says what to do."""


def serve(settings: Settings, host: str, ready: Callable[[str], object]) -> None:
    """Serve UI and site, and let the daemon work, until KeyboardInterrupt is raised.

    A service that ends is started again. Runs of before whose process has died are marked as failed first. All
    processes that were started end with this one, however it does.

    Args:
        settings: the installation, with the ports.
        host: the address that the UI listens on.
        ready: called with a sentence once the UI answers and has loaded the code.

    Raises:
        BusyError: the UI of this data folder is running already.
        PortError: another program listens on one of the ports.
        DeploymentError: the records are in a database, at whose daemon others are.
    """
    if settings.database_url is not None:
        raise DeploymentError(
            "CRY_PIPELINE_DATABASE_URL is set: code server, daemon, web server and site of this installation are "
            "services (docs/deployment.md). Unset it for an installation of one's own"
        )
    home = settings.dagster_home.resolve()
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{settings.ui_port}"  # noqa: S104 - only compared
    try:
        with hold(home / LOCK, f"`cry-pipeline ui` at {address}", wait_s=0):
            _check_port(host, settings.ui_port, "--port", "CRY_PIPELINE_UI_PORT")
            _check_port("127.0.0.1", settings.site_port, "--site-port", "CRY_PIPELINE_SITE_PORT")
            with open_instance(settings) as instance:
                mark_dead_runs(instance)
            said = home / SAID
            said.write_bytes(b"")
            with tempfile.TemporaryDirectory(prefix="cry_pipeline_ui_") as folder, Supervisor(said) as supervisor:
                _Ui(settings, host, address, Path(folder), supervisor, ready).run()
    except BusyError as error:
        running = Holder.read(home / LOCK) or "another process"
        raise BusyError(f"The UI of {settings.data} is open already: {running}. Use that one, or end it.") from error


def _check_port(host: str, port: int, option: str, variable: str) -> None:
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise PortError(
            f"{host}:{port} cannot be used ({error.strerror}): choose another port with {option}, or for good with "
            f"{variable}"
        ) from error


@dataclass
class _Ui:
    """The services of one installation, as far as they have come."""

    settings: Settings
    host: str
    address: str
    folder: Path
    supervisor: Supervisor
    ready: Callable[[str], object]
    deaf: int = 0
    heard: subprocess.Popen[bytes] | None = None
    """The code server that has answered; one that has just been started needs time."""
    asked: float = field(default_factory=lambda: -ASKED_EVERY_S)
    said: str = ""

    def run(self) -> None:
        """Start the services one after the other; then keep them running for ever."""
        code, *others = self._services()
        self.supervisor.start(code)
        until = time.monotonic() + LOADING_S
        while not self._code_server_answers() and time.monotonic() < until:
            time.sleep(TICK_S)
            self.supervisor.watch()
        for service in others:
            self.supervisor.start(service)
        while True:
            time.sleep(TICK_S)
            self.supervisor.watch()
            if time.monotonic() > self.asked + ASKED_EVERY_S:
                self._keep_code_loaded()
                self._say_whether_usable()
                self.asked = time.monotonic()

    def _services(self) -> list[Service]:
        workspace = self.folder / "workspace.yaml"
        server = {"location_name": CODE_LOCATION, "socket": self._socket}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
        environment = os.environ | {
            "CRY_PIPELINE_DATA": str(self.settings.data.resolve()),
            "CRY_PIPELINE_UI_PORT": str(self.settings.ui_port),
            "CRY_PIPELINE_SITE_PORT": str(self.settings.site_port),
        }
        scripts = Path(sys.executable).parent
        on = ["-w", str(workspace)]
        code = ["code-server", "start", "-m", MODULE, "-s", self._socket, "--location-name", CODE_LOCATION, *QUIETLY]
        web = ["-h", self.host, "-p", str(self.settings.ui_port), "--dagster-log-level", "warning", *on]
        command = "from cry_pipeline.command.main import main; main()"
        site = ["-c", command, "serve", "--quiet", "--port", str(self.settings.site_port)]
        return [
            Service("The code server", [str(scripts / "dagster"), *code], environment),
            Service("The web server", [str(scripts / "dagster-webserver"), *web], environment),
            Service("The site", [sys.executable, *site], environment),
            Service("The daemon", [str(scripts / "dagster-daemon"), "run", *QUIETLY, *on], environment),
        ]

    @property
    def _socket(self) -> str:
        return str(self.folder / "code")

    def _code_server_answers(self) -> bool:
        try:
            DagsterGrpcClient(socket=self._socket).get_server_id(timeout=int(ANSWER_S))
        except DagsterUserCodeUnreachableError:
            return False
        return True

    def _keep_code_loaded(self) -> None:
        """Let the code be loaded anew if the process that has loaded it is gone: its own parent does not notice."""
        code = self.supervisor.services[0]
        if code.process is None or self._code_server_answers():
            self.deaf, self.heard = 0, code.process
        elif code.process is self.heard or time.monotonic() > code.changed + LOADING_S:
            self.deaf += 1
        if self.deaf < DEAF:
            return
        LOG.warning("The code server does not answer. The code is loaded anew.")
        self.deaf = 0
        try:
            DagsterGrpcClient(socket=self._socket).reload_code(timeout=RELOADING_S)
        except DagsterUserCodeUnreachableError as error:
            LOG.debug("%s", error)  # of the process before, which cannot be asked to end any more

    def _say_whether_usable(self) -> None:
        if self.said == "usable":
            return
        faults = _faults(self.address)
        if faults is None:
            return
        if not faults:
            self.said = "usable"
            site = self.settings.site_address
            self.ready(f"The Dagster UI is usable at {self.address}, the reports at {site}.")
            try:
                self.ready(f"To review and to listen, open {Access.of(self.settings).link(f'{site}/')}")
            except (SecretError, OSError) as error:
                LOG.error("The site cannot be served: %s", error)  # noqa: TRY400 - the sentence says all
        elif self.said != "broken":
            self.said = "broken"
            LOG.error("The code cannot be loaded: %s. Mend it, and reload it at %s/locations.", faults, self.address)


def _faults(address: str) -> str | None:
    """Return what keeps the UI from showing the code, "" where nothing does; None while it is being loaded."""
    body = json.dumps({"query": LOADED}).encode()
    request = Request(f"{address}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - http
    try:
        with urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - http
            found = json.load(answer)
    except (URLError, OSError, ValueError):
        return None
    entries = [entry["locationOrLoadError"] for entry in found["data"]["workspaceOrError"].get("locationEntries", [])]
    if not entries or None in entries:
        return None
    faults = [entry for entry in entries if entry["__typename"] == "PythonError"]
    # The first cause comes last.
    causes = [fault["errorChain"][-1]["error"] if fault["errorChain"] else fault for fault in faults]
    return "; ".join(re.sub(r"^[\w.]+: ", "", " ".join(cause["message"].split())) for cause in causes)
