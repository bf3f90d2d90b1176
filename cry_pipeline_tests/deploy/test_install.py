"""The set-up honours what pip is told, and says what it lacks."""

import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cry_pipeline.deploy import install
from cry_pipeline_tests.conftest import WITHOUT_TORCH


@pytest.fixture
def pip_says(monkeypatch: pytest.MonkeyPatch):
    for name in ("UV_FIND_LINKS", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)

    def say(listing: str) -> None:
        answer = subprocess.CompletedProcess([], 0, stdout=listing)
        monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: answer)

    return say


def test_find_links_of_pip_reach_uv_which_does_not_read_them(pip_says):
    pip_says(":env:.find-links='/a /b'\nglobal.timeout='60'\nglobal.index-url='https://mirror.example/simple'\n")
    assert install.pip_settings_for_uv(["pip"]) == {
        "UV_FIND_LINKS": "/a,/b",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
    }


def test_what_uv_was_told_itself_is_left_alone(pip_says, monkeypatch):
    monkeypatch.setenv("UV_FIND_LINKS", "/mine")
    pip_says(":env:.find-links='/a'\n")
    assert install.pip_settings_for_uv(["pip"]) == {}


def test_old_python_is_told_so_in_a_sentence(monkeypatch):
    monkeypatch.setattr(install.sys, "version_info", (3, 10, 2))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer"):
        install.main()


def test_environment_that_cannot_be_made_leaves_nothing_behind(monkeypatch, tmp_path: Path):
    def fail(folder: Path, **_) -> None:
        folder.mkdir()
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(install.venv, "create", fail)
    with pytest.raises(SystemExit, match="python3-venv"):
        install.make_environment(tmp_path / "env")
    assert not (tmp_path / "env").exists()


def test_lock_names_every_dependency_once_and_no_address():
    lines = install.CONSTRAINTS.read_text().splitlines()
    assert sum(line.startswith("torch==") for line in lines) == 1
    assert not any("://" in line or line.startswith("-") for line in lines)
    unmarked = [line.split("==")[0] for line in lines if ";" not in line]
    assert len(unmarked) == len(set(unmarked))


def test_installed_packages_are_the_locked_ones():
    """The environment the tests run in is the one a newcomer gets."""
    from importlib.metadata import version

    locked = dict(
        line.split(" ;")[0].split("==")
        for line in install.CONSTRAINTS.read_text().splitlines()
        if "; python" not in line
    )
    torch = [] if WITHOUT_TORCH else ["torch"]
    for name in ("dagster", "pandas", "pytorch-lightning", "scikit-learn", *torch):
        assert version(name).split("+")[0] == locked[name], name


def test_newest_python_is_the_highest_that_is_found_and_newer_than_the_one_in_use(tmp_path: Path):
    for minor in (9, 12, 13):
        _fake_python(tmp_path / f"3.{minor}" / "bin" / f"python3.{minor}", minor)
    folders = [tmp_path / "3.9" / "bin", tmp_path / "3.12" / "bin", tmp_path / "3.13" / "bin"]
    assert install.newest_python(folders, newer_than=(3, 11)) == folders[2] / "python3.13"
    assert install.newest_python(folders[:2], newer_than=(3, 11)) == folders[1] / "python3.12"
    assert install.newest_python(folders[:1], newer_than=(3, 11)) is None


def test_python_that_does_not_start_is_passed_over(tmp_path: Path):
    _fake_python(tmp_path / "python3.12", 12)
    """As pyenv's shims of versions that are not chosen are."""
    (tmp_path / "python3.13").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.13").chmod(0o755)
    assert install.newest_python([tmp_path], newer_than=(3, 11)) == tmp_path / "python3.12"
    _fake_python(tmp_path / "kept" / "python3.13", 13)
    assert install.newest_python([tmp_path, tmp_path / "kept"], newer_than=(3, 11)) == tmp_path / "kept" / "python3.13"


def _fake_python(path: Path, minor: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 3 {minor}\n")
    path.chmod(0o755)


@pytest.fixture
def ask_index(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return what decides on torch's build while the index of CPU builds is at another address."""
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(install.sys, "platform", "linux")
    monkeypatch.setattr(install, "PATIENCE_S", 1)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-cache", "--python", sys.executable]

    def decide(address: str, **environment: str) -> list[str]:
        monkeypatch.setattr(install, "CPU_BUILD", ("--default-index", address))
        return install.torch_build(uv, kept | environment)

    return decide


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Return what makes an index offer one version of torch, and its address."""
    served = tmp_path / "served"
    (served / "torch").mkdir(parents=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))

    def offer(version: str) -> str:
        name = f"torch-{version}-py3-none-any.whl"
        with zipfile.ZipFile(served / "torch" / name, "w") as wheel:
            for file, text in {
                "METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n",
                "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                "RECORD": "",
            }.items():
                wheel.writestr(f"torch-{version}.dist-info/{file}", text)
        (served / "torch" / "index.html").write_text(f'<a href="{name.replace("+", "%2B")}">{name}</a>')
        return f"http://127.0.0.1:{server.server_port}/"

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield offer
        server.shutdown()


def test_cpu_build_is_taken_where_its_index_offers_the_locked_version(ask_index, index, capsys):
    locked = install.locked("torch").strip().partition("==")[2]
    address = index(f"{locked}+cpu")
    assert ask_index(address) == ["--default-index", address]
    assert capsys.readouterr().out == "No NVIDIA GPU here: taking the CPU build of torch.\n"
    assert ask_index(address, UV_TORCH_BACKEND="cu130") == []


def test_index_without_the_locked_version_is_left_alone(ask_index, index, capsys):
    assert ask_index(index("1.0.0+cpu")) == []
    assert "3 GB of CUDA" in capsys.readouterr().out


def test_index_that_cannot_be_reached_or_does_not_answer_is_left_alone_soon(ask_index):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        begun = time.monotonic()
        assert ask_index(address) == []
        assert time.monotonic() - begun < 4 * install.PATIENCE_S + 5
    assert ask_index(address) == []


@pytest.mark.parametrize(("platform", "gpu"), [("darwin", False), ("linux", True)])
def test_no_index_is_asked_where_the_registry_has_the_right_build(platform: str, gpu: bool, monkeypatch):
    monkeypatch.setattr(install.sys, "platform", platform)
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: pytest.fail("something was asked"))
    assert install.torch_build(["uv"], {}) == []


@pytest.mark.parametrize("minor", [8, 9, 10])
def test_old_python_reads_far_enough_to_be_told(minor: int):
    old = next((p for folder in install.places() for p in folder.glob(f"python3.{minor}") if _starts(p)), None)
    if old is None:
        pytest.skip(f"no Python 3.{minor} is found here")
    result = subprocess.run([str(old), install.__file__, "nowhere"], capture_output=True, text=True)
    assert result.stderr.startswith("cry_pipeline needs Python 3.11 or newer")


def _starts(python: Path) -> bool:
    return subprocess.run([str(python), "-c", ""], capture_output=True).returncode == 0
