"""The UI and all that belongs to it: there when it says so, mended when a part is killed, gone when it is ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import dagster as dg
import pytest

from cry_pipeline.orchestration import ui as module
from cry_pipeline.orchestration.launch import materialize
from cry_pipeline.orchestration.lock import BusyError, hold
from cry_pipeline.orchestration.supervisor import Service, Supervisor
from cry_pipeline.orchestration.ui import PortError, serve
from cry_pipeline.serving.access import Access
from cry_pipeline.settings import Settings
from cry_pipeline_tests.orchestration.installations import shrunk_catalog
from cry_pipeline_tests.processes import heed_ctrl_c, is_alive, wait_until

COMMAND = [sys.executable, "-c", "from cry_pipeline.command.main import main; main()", "ui"]
RUNS = """{ pipelineOrError(params: {
    pipelineName: "everything", repositoryName: "__repository__", repositoryLocationName: "cry_pipeline.definitions"
}) { ... on Pipeline { runs(limit: 9) { status repositoryOrigin { repositoryLocationName } } } } }"""

CHAIN = [{"error": {"message": said}} for said in ("no code", "catalog.CatalogError: models.yaml: no such\nmodel")]


@pytest.fixture
def ports(settings: Settings) -> Settings:
    """The settings, with ports that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        free = {"ui_port": one.getsockname()[1], "site_port": other.getsockname()[1]}
    return settings.model_copy(update=free)


def nobody_is_told(_: str) -> None:
    pytest.fail("it is not usable")


def test_a_second_ui_on_the_same_data_says_where_the_first_one_is(ports: Settings) -> None:
    home = ports.dagster_home.resolve()
    with (
        hold(home / module.LOCK, "`cry-pipeline ui` at http://127.0.0.1:3210"),
        pytest.raises(BusyError, match=r"is open already: `cry-pipeline ui` at http://127.0.0.1:3210 \(process"),
    ):
        serve(ports, "127.0.0.1", nobody_is_told)


@pytest.mark.parametrize(("which", "option"), [("ui_port", "--port"), ("site_port", "--site-port")])
def test_a_port_that_another_program_has_is_named_with_a_way_out(which: str, option: str, ports: Settings) -> None:
    port = getattr(ports, which)
    said = rf"{port} cannot be used .*{option}, .*CRY_PIPELINE_{which.upper()}"
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortError, match=said):
        serve(ports, "127.0.0.1", nobody_is_told)


@pytest.mark.parametrize(
    ("entries", "faults"),
    [
        ([], None),
        ([None], None),
        ([{"__typename": "RepositoryLocation"}], ""),
        ([{"__typename": "PythonError", "message": "no\nsuch module", "errorChain": []}], "no such module"),
        ([{"__typename": "PythonError", "message": "cannot load", "errorChain": CHAIN}], "models.yaml: no such model"),
    ],
)
def test_it_is_usable_once_the_code_is_loaded(
    entries: list[object], faults: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = tmp_path / "answer.json"
    found = {"locationEntries": [{"locationOrLoadError": entry} for entry in entries]}
    answer.write_text(json.dumps({"data": {"workspaceOrError": found}}))
    monkeypatch.setattr(module, "urlopen", lambda *_, **__: answer.open("rb"))
    assert module._faults("http://127.0.0.1:3000") == faults


def test_the_code_is_loaded_anew_only_where_no_code_server_is_being_started(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is being started says nothing for a while, and would be started over and over."""
    first, second, reloaded = MagicMock(), MagicMock(), MagicMock()
    monkeypatch.setattr(module, "DagsterGrpcClient", reloaded)
    code = Service("The code server", [], {}, process=first, changed=time.monotonic())
    ui = module._Ui(settings, "127.0.0.1", "", tmp_path, Supervisor(tmp_path / "log", [code]), nobody_is_told)
    for process, answer in [(first, True), (first, False), (None, False), *[(second, False)] * 9, (second, True)]:
        code.process = process
        monkeypatch.setattr(ui, "_code_server_answers", lambda answer=answer: answer)
        ui._keep_code_loaded()
    assert not reloaded.called
    monkeypatch.setattr(ui, "_code_server_answers", lambda: False)
    for _ in range(module.DEAF):
        ui._keep_code_loaded()
    assert reloaded.return_value.reload_code.call_count == 1


@pytest.fixture
def ui(ports: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The command, running; what it says is in ``said.log``."""
    monkeypatch.setenv("CRY_PIPELINE_CORPUS", str(tmp_path / "none"))  # or the daemon would take it in
    monkeypatch.setenv("CRY_PIPELINE_CATALOG", str(shrunk_catalog(tmp_path / "catalog")))
    options = ["--port", str(ports.ui_port), "--site-port", str(ports.site_port)]
    with (tmp_path / "said.log").open("wb") as said:
        process = subprocess.Popen([*COMMAND, *options], stdout=said, stderr=said, preexec_fn=heed_ctrl_c)
        yield process
        process.terminate()  # killed, it would leave its folder
        process.wait(30)


def family(pid: int) -> dict[int, str]:
    """Which living processes ``pid`` has started, and those have: their commands by their numbers."""
    table = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    split = [row.split(None, 2) for row in table.splitlines()]
    rows = {int(child): (int(parent), args) for child, parent, args in split}
    found = {pid: ""}
    while more := {child: args for child, (parent, args) in rows.items() if parent in found and child not in found}:
        found |= more
    return {child: args for child, args in found.items() if child != pid and is_alive(child)}


def one(pid: int, words: str) -> set[int]:
    """The processes of the family of ``pid`` whose command holds ``words``."""
    return {child for child, args in family(pid).items() if words in args}


def asked(settings: Settings, query: str) -> dict[str, Any]:
    """Return what the UI answers."""
    url, body = f"http://127.0.0.1:{settings.ui_port}/graphql", json.dumps({"query": query}).encode()
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=60) as answer:
        return json.load(answer)["data"]


def answers(site: str) -> bool:
    """Whether the site is there; it has no report yet."""
    try:
        with urlopen(site, timeout=60):  # noqa: S310 - http
            return True
    except HTTPError as error:
        return error.code == 404
    except URLError:
        return False


@dg.asset
def made() -> None:
    """Something that a run of the terminal makes."""


def test_it_says_when_it_is_there_mends_what_is_killed_and_leaves_nothing(
    ports: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    materialize(dg.Definitions([made], jobs=[dg.define_asset_job("everything", selection="*")]), ports)
    ui = request.getfixturevalue("ui")
    address, site = f"http://127.0.0.1:{ports.ui_port}", f"http://127.0.0.1:{ports.site_port}"

    def said() -> str:
        return (tmp_path / "said.log").read_text()

    wait_until(lambda: "usable" in said(), "it says that it is usable", 300)
    assert f"The Dagster UI is usable at {address}, the reports at {site}." in said()
    assert f"To review and to listen, open {Access.of(ports).link(f'{site}/')}\n" in said()
    (run,) = asked(ports, RUNS)["pipelineOrError"]["runs"]
    assert run == {"status": "SUCCESS", "repositoryOrigin": {"repositoryLocationName": "cry_pipeline.definitions"}}
    wait_until(lambda: answers(site), "the site answers", 120)

    daemon, code = one(ui.pid, "dagster-daemon"), one(ui.pid, "dagster api grpc")
    os.kill(daemon.pop(), signal.SIGKILL)
    os.kill(code.pop(), signal.SIGKILL)
    wait_until(lambda: one(ui.pid, "dagster-daemon") - daemon, "the daemon is started again", 120)
    wait_until(lambda: one(ui.pid, "dagster api grpc") - code, "the code is loaded again", 120)
    wait_until(lambda: module._faults(address) == "", "the UI is usable again", 120)

    started = family(ui.pid)
    ui.terminate()
    assert ui.wait(20) == 128 + signal.SIGTERM
    wait_until(lambda: not any(map(is_alive, started)), "all that it started has ended", 10)
    for port in (ports.ui_port, ports.site_port):
        socket.create_server(("127.0.0.1", port)).close()
    assert "The daemon has ended (killed by SIGKILL)" in said()
    assert "Traceback" not in said()
    kept = (ports.dagster_home / module.SAID).read_text()
    assert f"The site is at {site}/\n" in kept
    assert Access.of(ports).token not in kept, "what is kept may be read by others"
    assert "deprecat" not in said() + (ports.dagster_home / module.SAID).read_text().lower()
