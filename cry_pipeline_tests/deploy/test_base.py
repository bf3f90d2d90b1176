"""The base, `pip install cry-pipeline` without an extra: it predicts, and says what to install for the rest."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cry_pipeline.deploy import install
from cry_pipeline_tests.deploy.test_wheel import build_wheel
from cry_pipeline_tests.inference.test_base_installation import OLD, SOUNDS, in_the_base, sound

NEEDS = {
    ("run",): "pipeline",
    ("ui",): "pipeline",
    ("maintain",): "pipeline",
    ("leaderboard",): "train",
    ("features", "list"): "train",
    ("store", "ls"): "train",
    ("corpus", "synth", "new"): "train",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment into which nothing but the wheel was installed."""
    scratch = tmp_path_factory.mktemp("base")
    python = scratch / "env" / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(scratch / "env")], check=True)
    command = [*uv, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(install.CONSTRAINTS)]
    settings = install.pip_settings_for_uv([sys.executable, "-m", "pip"])
    subprocess.run([*command, str(build_wheel(scratch))], check=True, env=os.environ | settings)
    return python.parent


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program where nothing but its own environment is to be imported from."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=120, env=environment, cwd=program.parent
    )


def check_says_what_to_install(result: subprocess.CompletedProcess[str], command: Sequence[str], extra: str) -> None:
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: `cry-pipeline {command[0]}` needs ")
    assert result.stderr.endswith(f", which is not installed: pip install 'cry-pipeline[{extra}]'\n")


@pytest.mark.parametrize("command", [("run",), ("leaderboard",)])
def test_what_the_base_cannot_do_is_said_with_what_to_install(command: tuple[str, ...]):
    check_says_what_to_install(in_the_base(*command), command, NEEDS[command])


@pytest.mark.base
@pytest.mark.parametrize("command", NEEDS)
def test_wheel_alone_says_what_to_install(command: tuple[str, ...], base: Path):
    check_says_what_to_install(run(base / "cry-pipeline", *command), command, NEEDS[command])


@pytest.mark.base
@pytest.mark.parametrize("module", ["torch", "pandas", "dagster", "scipy", "cry_pipeline_tests"])
def test_wheel_alone_brings_no_more_than_predicting_needs(module: str, base: Path):
    assert f"No module named '{module}'" in run(base / "python", "-c", f"import {module}").stderr


@pytest.mark.base
def test_wheel_alone_predicts_from_a_bundle(base: Path, tmp_path: Path):
    files = [sound(tmp_path / f"{rate_hz}.wav", rate_hz, seconds) for rate_hz, seconds in SOUNDS]
    result = run(base / "cry-pipeline", "predict", "--json", "--bundle", OLD, *files)
    assert result.returncode == 0, result.stderr
    answers = [json.loads(line)["cry_probability"] for line in result.stdout.splitlines()]
    assert answers == pytest.approx([*SOUNDS.values()], abs=1e-4)
