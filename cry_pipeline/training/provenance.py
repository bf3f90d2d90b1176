"""Where a fold's numbers come from: code, libraries, machine.

Belongs here: facts about the process that trains. Does not: what the run was made from (runs.py).
"""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cry_pipeline.version import __version__

LIBRARIES = ("numpy", "pandas", "pytorch-lightning", "safetensors", "scikit-learn", "scipy", "torch")
GIT_TIMEOUT_S = 5
CHECKOUT = Path(__file__).parents[2]


@cache
def environment() -> dict[str, Any]:
    """Return versions of this package, of Python and of the libraries, the machine, and the git commit."""
    return {
        "cry_pipeline": __version__,
        "git": git_state(CHECKOUT),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "machine": platform.machine(),
        "system": platform.platform(),
    }


def git_state(checkout: Path) -> dict[str, Any] | None:
    """Return ``commit`` and whether files differ from it; None where ``checkout`` is not the root of a git checkout.

    A package installed into some other project's checkout must not be given that project's commit.
    """
    top = _git(checkout, "rev-parse", "--show-toplevel")
    commit = _git(checkout, "rev-parse", "--verify", "HEAD")
    if not top or not commit or Path(top).resolve() != checkout.resolve():
        return None
    return {"commit": commit, "modified": bool(_git(checkout, "status", "--porcelain"))}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says, or None where there is no git, no checkout, or no answer in time."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
