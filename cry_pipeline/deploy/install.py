"""Install the locked dependencies into a virtual environment: ``python install.py .venv``.

``python install.py .venv-newest --newest-without-torch`` does it for the newest Python that is found, where that is
newer than this one, and leaves out torch, whose build for it may be several GB; it exits with 3 where there is none.

Belongs here: what `make` needs before anything is installed, hence only the standard library and syntax
that an old Python can read far enough to be told so. Does not: anything the installed package does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONSTRAINTS = Path(__file__).resolve().parent / "constraints.txt"
OLDEST = (3, 11)
NONE_FOUND = 3
NEVER = 'torch ; python_version < "3"\n'
"""An override for uv: torch is asked for by no Python that there is."""


def main() -> None:
    """Create the environment where it is missing, then install the package, editable, with its ``dev`` extra."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"cry_pipeline needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. "
            "Name another one with: make PYTHON=python3.12 …"
        )
    folder = Path(sys.argv[1])
    if "--newest-without-torch" in sys.argv[2:]:
        newest = newest_python(places(), newer_than=sys.version_info[:2])
        if newest is None:
            print(f"No Python newer than this one, {sys.version.split()[0]}, is to be found here.")
            sys.exit(NONE_FOUND)
        make_environment(folder, newest)
        install(folder, without_torch=True)
    else:
        make_environment(folder)
        install(folder)


def install(folder: Path, *, without_torch: bool = False) -> None:
    """Install the locked dependencies into the environment at ``folder``, by uv or, with torch, by pip."""
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip"]
    arguments = ["install", "--quiet", "--constraint", str(CONSTRAINTS), "--editable", f"{REPOSITORY}[dev]"]
    print(f"Installing the locked dependencies into {folder} …", flush=True)
    if has_uv(python, pip):
        environment = os.environ | pip_settings_for_uv(pip) | {"VIRTUAL_ENV": str(folder.resolve())}
        command = [str(python), "-m", "uv", "pip", *arguments]
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
            if without_torch:
                overrides.write(NEVER)
                overrides.flush()
                command += ["--override", overrides.name]
            subprocess.run(command, check=True, env=environment)
    elif without_torch:
        sys.exit("uv is not to be had here, and pip cannot leave out torch; install uv, or see `make test`.")
    else:
        print("uv is not to be had here: installing with pip, which takes some minutes.", flush=True)
        subprocess.run([*pip, *arguments], check=True)


def places() -> "list[Path]":
    """Return the folders in which a Python may lie: those of PATH, and each version that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)] + sorted(kept.glob("*/bin"))


def newest_python(folders: "list[Path]", newer_than: "tuple[int, int]") -> "Path | None":
    """Return the newest Python 3 in ``folders`` that starts and is newer than ``newer_than``; None where none is."""
    found = [
        (int(match[1]), path)
        for folder in folders
        for path in sorted(folder.glob("python3.*"))
        if (match := re.fullmatch(r"python3\.(\d+)", path.name)) and (3, int(match[1])) > newer_than
    ]
    for minor, path in sorted(found, key=lambda item: -item[0]):
        say = [str(path), "-c", "import sys; print(*sys.version_info[:2])"]
        answer = subprocess.run(say, capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.split() == ["3", str(minor)]:
            return path
    return None


def make_environment(folder: Path, python: "Path | None" = None) -> None:
    """Create a virtual environment with pip at ``folder``, of this Python or ``python``, where none is.

    Where that is not possible, none is left there, and what is missing is said.
    """
    if (folder / "bin" / "python").exists():
        return
    try:
        if python is None:
            venv.create(folder, with_pip=True)
        else:
            subprocess.run([str(python), "-m", "venv", str(folder)], check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(
            f"{python or sys.executable} cannot put pip into a virtual environment. On Debian and Ubuntu install "
            "python3-venv, or name another Python with: make PYTHON=python3.12 …"
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
