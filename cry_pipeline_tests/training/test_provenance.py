"""A commit is named only where it is the project's own."""

import subprocess
from pathlib import Path

import torch

from cry_pipeline.training.provenance import environment, git_state


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_commit_and_changes_of_a_checkout(tmp_path: Path) -> None:
    _git(tmp_path, "init")
    assert git_state(tmp_path) is None
    (tmp_path / "a").write_text("a")
    _git(tmp_path, "add", "a")
    _git(tmp_path, "commit", "-m", "a")
    state = git_state(tmp_path)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["modified"] is False
    (tmp_path / "a").write_text("b")
    assert git_state(tmp_path) == {**state, "modified": True}


def test_a_package_inside_another_projects_checkout_does_not_take_its_commit(tmp_path: Path) -> None:
    _git(tmp_path, "init")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a").write_text("a")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "a")
    assert git_state(tmp_path / "lib") is None


def test_no_checkout_and_no_git_are_no_error(tmp_path: Path, monkeypatch) -> None:
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None


def test_environment_names_the_versions_in_use() -> None:
    # The wheel's metadata and the module name the build apart: 2.13.0 and 2.13.0+cu130.
    assert torch.__version__.partition("+")[0] == environment()["libraries"]["torch"].partition("+")[0]
