"""What the locked distributions may be used under: `make licences` writes the table anew, from what pip says of each.

A distribution's own statement says nothing of what its wheel bundles. PyAV's brings FFmpeg (LGPL 3 or later) and beside
it x264 and x265 (GPL 2 or later): who hands on an image with it has to keep those, too. This project hands on neither.
"""

import csv
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from cry_pipeline.deploy import install

TABLE = install.CONSTRAINTS.with_name("licences.csv")
PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "ISC",
} | {"LLVM-exception", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib"}
ALSO_TAKEN = {
    "MPL-2.0": "covers changes to the distribution's own files; they are used as they are",
    "LGPL-3.0-or-later": "psycopg2, a library of its own, loaded when used, that anybody may replace",
    "LGPL-2.1-or-later": "a library of its own, loaded when used, that anybody may replace",
    "LicenseRef-NVIDIA-Proprietary": "only torch's CUDA build asks for it, and the user takes it from NVIDIA",
}
SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-3.0-or-later",  # psycopg2's licence file: 3 or later
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Python Software Foundation License": "PSF-2.0",
}
SILENT = {
    "atheris": "Apache-2.0",
    "axe-playwright-python": "MIT AND MPL-2.0",  # the second is axe-core's, which it brings
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
}
"""Those that name no licence, and what their project page or licence file says."""
NEWEST = "3.14"


def parts_of(licence: str) -> set[str]:
    """The licences of an SPDX expression."""
    return set(re.findall(r"[\w.-]+", licence)) - {"AND", "OR", "WITH"}


def allowed(licence: str) -> bool:
    return bool(licence) and parts_of(licence) <= PERMISSIVE | ALSO_TAKEN.keys()


def stated(about: dict[str, Any]) -> str:
    """A distribution's licence: its SPDX expression, else what its other fields say, for which SPDX has a name."""
    expression, short = about.get("license_expression"), about.get("license") or ""
    if expression or about["name"] in SILENT:
        return expression or SILENT[about["name"]]
    if allowed(SPDX.get(short, short)):
        return SPDX.get(short, short)
    kinds = [line.rpartition(" :: ")[2] for line in about.get("classifier", []) if line.startswith("License :: ")]
    return " AND ".join(SPDX.get(kind) or kind for kind in sorted(kinds) if kind != "OSI Approved")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_names() -> list[str]:
    return [line.partition("==")[0] for line in install.lock()]


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    """Licences by the name of the distribution."""
    with TABLE.open(newline="") as file:
        return {row["distribution"]: row["licence"] for row in csv.DictReader(file)}


def test_table_names_every_locked_distribution_and_no_other(table: dict[str, str]) -> None:
    assert list(table) == sorted(set(locked_names())), "run `make licences`"


def test_every_licence_is_one_that_may_be_used(table: dict[str, str]) -> None:
    assert {name: licence for name, licence in table.items() if not allowed(licence)} == {}


def test_installed_distributions_state_what_the_table_says(table: dict[str, str]) -> None:
    """A distribution of which the lock has two versions may have changed in between."""
    one = {name for name in table if locked_names().count(name) == 1}
    about: list[dict[str, Any]] = [installed.metadata.json for installed in distributions()]
    found = {normal(data["name"]): stated(data) for data in about if normal(data["name"]) in table}
    assert len(found) > 100
    assert {name: licence for name, licence in found.items() if not allowed(licence)} == {}
    assert {name: found[name] for name in found.keys() & one} == {name: table[name] for name in found.keys() & one}


@pytest.mark.parametrize("licence", ["", "GPL-3.0-only", "MIT AND AGPL-3.0", "GNU General Public License"])
def test_other_licences_are_not_taken(licence: str) -> None:
    assert not allowed(licence)


def reported(requirements: Collection[str], *where: str) -> dict[str, str]:
    """What pip says of ``requirements`` without installing or downloading one."""
    pip = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--constraints", str(install.CONSTRAINTS), "pip"]
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        options = ["--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", "--target", scratch]
        command = [*pip, "--isolated", "install", "--quiet", *options, "--report", str(report), *where, *requirements]
        subprocess.run(command, check=True)
        about = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {normal(data["name"]): stated(data) for data in about}


def write() -> None:
    """Write the table anew, from the newest locked version of each distribution."""
    newest = {line.partition("==")[0]: line for line in install.lock()}
    windows = [line.partition(" ;")[0] for line in newest.values() if "sys_platform == 'win32'" in line]
    others = [line.partition(" ;")[0] for line in newest.values() if "sys_platform == 'win32'" not in line]
    rows = reported(others, "--python-version", NEWEST) | reported(windows, "--platform", "win_amd64")
    with TABLE.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("distribution", "licence"), *sorted(rows.items())])


if __name__ == "__main__":
    write()
