"""How many faults are tried: few in ordinary tests, all of them where CRY_PIPELINE_FAULTS=full (`make faults`).

What was counted is shown after the tests' own lines.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FULL = os.environ.get("CRY_PIPELINE_FAULTS") == "full"
Act = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the full set was asked for."""
    return FULL


@pytest.fixture
def counted(record_property, request: pytest.FixtureRequest) -> Callable[..., None]:
    """``counted(**numbers)``: note what a test counted, to be printed at the end."""

    def note(**numbers: int) -> None:
        text = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in numbers.items())
        record_property("counted", f"{request.node.name}: {text}")

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was counted."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    lines = {value for report in reports for key, value in getattr(report, "user_properties", ()) if key == "counted"}
    if lines:
        terminalreporter.section("faults tried")
        for line in sorted(lines):
            terminalreporter.line(line)


@pytest.fixture
def act() -> Act:
    """``act(scenario, folder, …)``: run a scenario of actors.py in a process of its own; return what it told."""

    def run(scenario: str, folder: Path, *arguments: object) -> list[dict[str, Any]]:
        told = subprocess.run(
            [sys.executable, "-m", "cry_pipeline_tests.faults.actors", scenario, folder, *map(str, arguments)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:]
        # A killed process may have been killed in the middle of a line.
        lines = [json.loads(line) for line in told.stdout.splitlines() if line.endswith("}")]
        assert not [line for line in lines if "error" in line], told.stdout[-2000:]
        return lines

    return run
