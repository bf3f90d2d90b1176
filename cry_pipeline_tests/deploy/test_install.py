"""The set-up honours what pip is told, and says what it lacks."""

import subprocess
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
    for name in ("dagster", "pandas", "pytorch-lightning", "scikit-learn", "torch"):
        assert version(name).split("+")[0] == locked[name], name
