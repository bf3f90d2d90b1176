"""The set-up honours what pip is told, and says what it lacks."""

import subprocess
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
