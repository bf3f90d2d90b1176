"""Tools of others in environments of their own, as nobody needs them but tests.

Belongs here: calling them. Does not: what is asked of them.
"""

import os
import subprocess
import sys

import pytest

from cry_pipeline.deploy import install

UNTIL_INSTALLED_S = 600


def call_of(package: str, *command: str) -> tuple[list[str], dict[str, str]]:
    """Return the call of a tool of ``package``, and its environment; skips, saying why, where it cannot be had."""
    settings = install.pip_settings_for_uv([sys.executable, "-m", "pip"])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings
    tool = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--python", sys.executable, "--from", package]
    tried = subprocess.run(
        [*tool, "python", "-c", ""], env=environment, capture_output=True, text=True, timeout=UNTIL_INSTALLED_S
    )
    if tried.returncode:
        pytest.skip(f"{package} cannot be installed here: {tried.stderr.strip()}")
    return [*tool, *command], environment
