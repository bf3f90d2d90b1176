"""Install the locked dependencies into a virtual environment: ``python install.py .venv``.

Belongs here: what `make` needs before anything is installed, hence only the standard library and syntax
that an old Python can read far enough to be told so. Does not: anything the installed package does.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONSTRAINTS = Path(__file__).resolve().parent / "constraints.txt"
OLDEST = (3, 11)


def main() -> None:
    """Create the environment where it is missing, then install the package, editable, with its ``dev`` extra."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"cry_pipeline needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. "
            "Name another one with: make PYTHON=python3.12 …"
        )
    folder = Path(sys.argv[1])
    python = folder / "bin" / "python"
    if not python.exists():
        make_environment(folder)
    pip = [str(python), "-m", "pip"]
    arguments = ["install", "--quiet", "--constraint", str(CONSTRAINTS), "--editable", f"{REPOSITORY}[dev]"]
    print(f"Installing the locked dependencies into {folder} …", flush=True)
    if has_uv(python, pip):
        environment = os.environ | pip_settings_for_uv(pip) | {"VIRTUAL_ENV": str(folder.resolve())}
        subprocess.run([str(python), "-m", "uv", "pip", *arguments], check=True, env=environment)
    else:
        print("uv is not to be had here: installing with pip, which takes some minutes.", flush=True)
        subprocess.run([*pip, *arguments], check=True)


def make_environment(folder: Path) -> None:
    """Create a virtual environment with pip at ``folder``, or none, and say what is missing."""
    try:
        venv.create(folder, with_pip=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(
            f"{sys.executable} cannot put pip into a virtual environment. On Debian and Ubuntu install python3-venv, "
            "or name another Python with: make PYTHON=python3.12 …"
        )


def has_uv(python: Path, pip: list[str]) -> bool:
    """Return whether the environment has uv, fetching it where it can be had: it installs ten times faster."""
    if subprocess.run([str(python), "-m", "uv", "--version"], capture_output=True).returncode == 0:
        return True
    fetch = [*pip, "install", "--quiet", "--constraint", str(CONSTRAINTS), "uv"]
    return subprocess.run(fetch, stderr=subprocess.DEVNULL).returncode == 0


def pip_settings_for_uv(pip: list[str]) -> "dict[str, str]":
    """Return pip's find-links and index as uv's environment variables; uv reads no configuration of pip's."""
    names = {"find-links": "UV_FIND_LINKS", "index-url": "UV_DEFAULT_INDEX"}
    listing = subprocess.run([*pip, "config", "list"], check=True, capture_output=True, text=True).stdout
    found: dict[str, str] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        variable = names.get(key.rpartition(".")[2])
        if variable and variable not in os.environ:
            # pip separates several places by spaces or newlines, uv by commas.
            places = value.strip("'\"").replace("\\n", " ").split()
            found[variable] = ",".join(dict.fromkeys(places))
    return found


if __name__ == "__main__":
    main()
