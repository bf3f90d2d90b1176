"""The set-up honours what pip is told, and says what it lacks."""

import hashlib
import json
import os
import re
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


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with the wheel of a distribution that no registry has."""
    wheel = make_wheel(tmp_path / "wheels", "cry-made-up", "1.0")
    assert wheel.exists()
    return wheel.parent


@pytest.mark.parametrize("right", [True, False])
def test_file_with_another_hash_than_the_locked_one_is_not_installed(wheels: Path, tmp_path: Path, right: bool):
    """uv checks the hashes of constraints, too, and not only those of requirements."""
    (file,) = wheels.iterdir()
    rules = tmp_path / "rules.txt"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if right else "0" * 64
    rules.write_text(install.requirements({"cry-made-up==1.0": [f"sha256:{sha256}"]}))
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-cache", "--no-config", "--target", "there"]
    command = [*uv, "--no-index", "--find-links", str(wheels), "--constraint", str(rules), "cry-made-up"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=kept)
    assert (answer.returncode == 0) is right
    assert ("Hash mismatch" in answer.stderr) is not right
    assert any((tmp_path / "there").glob("cry_made_up*")) is right


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pip and uv would have been asked to do, with the contents of the files that they would have read."""
    commands: list[str] = []

    def note(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        for report in (command[at + 1] for at, word in enumerate(command) if word == "--report"):
            found = [{"metadata": {"name": name}} for name in ("cry-pipeline", "torch", "NumPy", "typing_extensions")]
            Path(report).write_text(json.dumps({"install": found}))
        files = [Path(word) for word in command if word.endswith(".txt")]
        commands.append("\n".join([" ".join(command), *(file.read_text() for file in files)]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(install.subprocess, "run", note)
    for name in ("UV_FIND_LINKS", "UV_TORCH_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    return commands


def test_hashes_of_torch_are_left_out_only_where_another_build_may_be_taken(asked, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(install, "torch_build", lambda *_: [])
    install.install(tmp_path, "dev")
    assert re.search(r"^torch==\S+ --hash", asked[-1], re.MULTILINE)
    for change in (
        lambda: monkeypatch.setenv("UV_FIND_LINKS", "/wheels"),
        lambda: (monkeypatch.delenv("UV_FIND_LINKS"), monkeypatch.setenv("UV_TORCH_BACKEND", "cpu")),
        lambda: (monkeypatch.delenv("UV_TORCH_BACKEND"), monkeypatch.setattr(install, "torch_build", lambda *_: ["x"])),
    ):
        change()
        install.install(tmp_path, "dev")
        assert re.search(r"^torch==\S+$", asked[-1], re.MULTILINE)
        assert re.search(r"^torchmetrics==\S+ --hash", asked[-1], re.MULTILINE)


@pytest.mark.parametrize(
    ("extra", "told_not_to_write", "compiled"),
    [("pipeline", False, False), ("dev", True, True), ("deploy", False, True)],
)
def test_modules_are_compiled_where_no_process_would_keep_them(
    extra: str, told_not_to_write: bool, compiled: bool, monkeypatch
):
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    if told_not_to_write:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert ("UV_COMPILE_BYTECODE" in install.compiled(extra)) is compiled


def test_pip_is_told_the_hashes_of_all_but_torch_and_the_package(asked, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(install, "has_uv", lambda *_: False)
    install.install(tmp_path, "dev")
    ask, checked, rest = asked
    assert "--dry-run" in ask
    assert "--hash" not in ask + rest
    assert "--require-hashes" in checked
    names = set(re.findall(r"^([\w-]+)==.* --hash=sha256", checked, re.MULTILINE))
    assert names == {"numpy", "typing-extensions"}
    assert "--editable" in rest


def test_uv_that_is_not_the_locked_one_ends_the_installation(monkeypatch, tmp_path: Path):
    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM …")

    monkeypatch.setattr(install.subprocess, "run", answer)
    with pytest.raises(SystemExit, match=r"not the locked one\. Nothing was installed"):
        install.has_uv(tmp_path, ["pip"], tmp_path)


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


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """Make an empty wheel in ``folder``; return its path."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }.items():
            wheel.writestr(f"{stem}.dist-info/{file}", text)
    return path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Return what makes an index offer one version of torch, and its address."""
    served = tmp_path / "served"
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))

    def offer(version: str) -> str:
        name = make_wheel(served / "torch", "torch", version).name
        (served / "torch" / "index.html").write_text(f'<a href="{name.replace("+", "%2B")}">{name}</a>')
        return f"http://127.0.0.1:{server.server_port}/"

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield offer
        server.shutdown()


def test_cpu_build_is_taken_where_its_index_offers_the_locked_version(ask_index, index, capsys):
    locked = install.locked("torch").partition("==")[2]
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
