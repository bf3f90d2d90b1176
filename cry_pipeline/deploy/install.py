"""Install the locked dependencies into a virtual environment: ``python install.py .venv --extra pipeline``.

``--newest-without-torch`` takes the newest Python that is found, where that is newer than this one, and leaves out
torch, whose build for it may be several GB; it exits with 3 where there is none. ``--lowest`` takes the lowest
versions that pyproject.toml allows instead of the locked ones.

Every file that is fetched is checked against its hashes in the lock. It has none of builds of torch that the registry
does not have.

Belongs here: what `make` needs before anything is installed, hence only the standard library and syntax
that an old Python can read far enough to be told so. Does not: anything the installed package does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONSTRAINTS = Path(__file__).resolve().parent / "constraints.txt"
BUILD = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")
"""What runs when the package is made; of other packages wheels are taken, which run nothing."""
OLDEST = (3, 11)
EXTRAS = {"pipeline": "pipeline", "deploy": "deploy,s3", "dev": "dev"}
"""What may be installed, and the package's extras that it is."""
NONE_FOUND = 3
NEVER = 'torch ; python_version < "3"\n'
"""An override for uv: torch is asked for by no Python that there is."""
CPU_BUILD = ("--torch-backend", "cpu")
"""Tells uv to take torch from the index of its CPU builds; a wheel in a find-links folder still comes first."""
PATIENCE_S = 5
"""How long that index may take to answer."""


def main() -> None:
    """Create the environment where it is missing, then install the package, editable, with an extra."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"cry_pipeline needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. "
            "Name another one with: make PYTHON=python3.12 …"
        )
    parser = argparse.ArgumentParser(description="Install the dependencies into a virtual environment.")
    parser.add_argument("folder", type=Path, help="of the environment; made where it is missing")
    parser.add_argument("--extra", choices=[*EXTRAS], default="pipeline", help="dev adds what tests need")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--newest-without-torch", action="store_true", help="on the newest other Python, without torch")
    which.add_argument("--lowest", action="store_true", help="the lowest versions that pyproject.toml allows")
    wanted = parser.parse_args()
    python = None
    if wanted.newest_without_torch:
        python = newest_python(places(), newer_than=sys.version_info[:2])
        if python is None:
            print(f"No Python newer than this one, {sys.version.split()[0]}, is to be found here.")
            sys.exit(NONE_FOUND)
    if wanted.lowest and sys.version_info[:2] != OLDEST:
        sys.exit("The lowest versions are tried on the lowest Python: make PYTHON=python3.11 test-lowest")
    make_environment(wanted.folder, python)
    install(wanted.folder, wanted.extra, without_torch=wanted.newest_without_torch, lowest=wanted.lowest)


def install(folder: Path, extra: str, *, without_torch: bool = False, lowest: bool = False) -> None:
    """Install the package with ``extra`` into the environment at ``folder``, by uv or, as a last resort, by pip."""
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip"]
    package = ["--editable", f"{REPOSITORY}[{EXTRAS[extra]}]"]
    print(f"Installing {'the lowest allowed' if lowest else 'the locked'} dependencies into {folder} …", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        rules, build_rules = Path(scratch, "rules.txt"), Path(scratch, "build.txt")
        build_rules.write_text(requirements(lock(), BUILD))
        if has_uv(python, pip, Path(scratch)):
            uv = [str(python), "-m", "uv", "pip", "install", "--quiet", "--build-constraint", str(build_rules)]
            environment = os.environ | pip_settings_for_uv(pip) | {"VIRTUAL_ENV": str(folder.resolve())}
            environment |= compiled(extra)
            build = [] if without_torch else torch_build(uv, environment)
            options = ["--constraint", str(rules)]
            known = lock()
            if without_torch:
                (never := Path(scratch, "never.txt")).write_text(NEVER)
                options += ["--override", str(never)]
            elif lowest:
                # Of torch the locked version, and that first: of its builds, CUDA's counts as lower than the CPU's.
                known = {line: [] for line in known if line.startswith("torch==")}
                options += ["--resolution", "lowest-direct"]
                subprocess.run([*uv, *build, locked("torch")], check=True, env=environment)
            elif {"UV_TORCH_BACKEND", "UV_FIND_LINKS"} & environment.keys() or build:
                known[locked("torch")] = []
            rules.write_text(requirements(known))
            subprocess.run([*uv, *build, *options, *package], check=True, env=environment)
        elif without_torch or lowest:
            sys.exit("This needs uv, which cannot be installed here; `make test` can do without.")
        else:
            print("uv cannot be installed here: installing with pip, which takes some minutes.", flush=True)
            install_with_pip(pip, package, Path(scratch))


def compiled(extra: str) -> dict[str, str]:
    """Return what tells uv to compile all modules, where no process that imports them will keep what it compiled.

    Else each process compiles them anew, some seconds long: a service, which may not write here, and where Python is
    told not to write.
    """
    return {"UV_COMPILE_BYTECODE": "1"} if extra == "deploy" or "PYTHONDONTWRITEBYTECODE" in os.environ else {}


def install_with_pip(pip: list[str], package: list[str], scratch: Path) -> None:
    """Install ``package`` with what it needs by pip, which checks hashes only where all that it is asked for has some.

    So pip is asked what it would take, then told to take that with the hashes of the lock, and the package last.
    """
    rules, report, checked = scratch / "rules.txt", scratch / "report.json", scratch / "checked.txt"
    rules.write_text(requirements({line: [] for line in lock()}))
    quiet = [*pip, "install", "--quiet"]
    ask = [*quiet, "--constraint", str(rules), "--dry-run", "--report", str(report), *package]
    subprocess.run(ask, check=True)
    items = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    wanted = {re.sub("[-_.]+", "-", item["name"]).lower() for item in items}
    if unknown := wanted - {line.partition("==")[0] for line in lock()} - {"cry-pipeline"}:
        sys.exit(f"The lock does not name {', '.join(sorted(unknown))}: run `make lock` where uv can be had.")
    checked.write_text(requirements(lock(), wanted - {"torch"}))
    subprocess.run([*quiet, "--no-deps", "--require-hashes", "--requirement", str(checked)], check=True)
    subprocess.run([*quiet, "--constraint", str(rules), *package], check=True)


def lock() -> dict[str, list[str]]:
    """Return the lock: each requirement, ``name==version`` and perhaps a marker, and the hashes of its files."""
    lines = CONSTRAINTS.read_text().replace("\\\n", "").splitlines()
    return {line.split(" --hash=")[0].strip(): re.findall(r"--hash=(\S+)", line) for line in lines}


def requirements(known: dict[str, list[str]], names: Iterable[str] | None = None) -> str:
    """Return ``known``, all of it or that of ``names``, as a file of requirements."""
    chosen = [line for line in known if names is None or line.partition("==")[0] in names]
    return "".join(" ".join([line, *(f"--hash={value}" for value in known[line])]) + "\n" for line in chosen)


def locked(name: str) -> str:
    """Return the requirement of the lock that names the version of ``name``."""
    return next(line for line in lock() if line.startswith(f"{name}=="))


def torch_build(uv: list[str], environment: dict[str, str]) -> list[str]:
    """Return uv's options that choose torch's build, and say the choice in a line.

    The registry's build for Linux brings 3 GB of CUDA. A machine without an NVIDIA GPU gets the CPU build instead,
    where the index of CPU builds answers and has the locked version. Who sets ``UV_TORCH_BACKEND`` has chosen.

    Args:
        uv: uv's command to install.
        environment: the variables that it runs with.
    """
    if "UV_TORCH_BACKEND" in environment or not sys.platform.startswith("linux") or has_nvidia_gpu():
        return []
    ask = [*uv, "--dry-run", "--no-deps", "--reinstall-package", "torch", *CPU_BUILD, locked("torch")]
    impatient = {"UV_HTTP_TIMEOUT": str(PATIENCE_S), "UV_HTTP_CONNECT_TIMEOUT": str(PATIENCE_S), "UV_HTTP_RETRIES": "0"}
    try:
        answer = subprocess.run(ask, env=environment | impatient, capture_output=True, timeout=4 * PATIENCE_S)
    except subprocess.TimeoutExpired:
        offered = False
    else:
        offered = answer.returncode == 0
    if offered:
        print("No NVIDIA GPU here: taking the CPU build of torch.", flush=True)
        return [*CPU_BUILD]
    print(
        "No NVIDIA GPU here, but the index of torch's CPU builds does not answer with the locked version: torch comes "
        "from find-links or, with 3 GB of CUDA on Linux, from the registry.",
        flush=True,
    )
    return []


def has_nvidia_gpu() -> bool:
    """Return whether this machine has a driver of NVIDIA's."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def places() -> list[Path]:
    """Return the folders in which a Python may lie: those of PATH, and each version that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)] + sorted(kept.glob("*/bin"))


def newest_python(folders: list[Path], newer_than: tuple[int, int]) -> Path | None:
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


def make_environment(folder: Path, python: Path | None = None) -> None:
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


def has_uv(python: Path, pip: list[str], scratch: Path) -> bool:
    """Return whether the environment has uv, fetching it where it can be had: it installs ten times faster."""
    if subprocess.run([str(python), "-m", "uv", "--version"], capture_output=True).returncode == 0:
        return True
    rules = scratch / "uv.txt"
    rules.write_text(requirements(lock(), ["uv"]))
    fetch = [*pip, "install", "--quiet", "--require-hashes", "--requirement", str(rules)]
    answer = subprocess.run(fetch, stderr=subprocess.PIPE, text=True)
    if "DO NOT MATCH THE HASHES" in answer.stderr:
        sys.exit(f"The registry's uv is not the locked one. Nothing was installed.\n{answer.stderr}")
    return answer.returncode == 0


def pip_settings_for_uv(pip: list[str]) -> dict[str, str]:
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
