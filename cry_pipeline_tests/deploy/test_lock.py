"""The lock names all that is installed, with hashes, and no place to take it from."""

import re
from importlib.metadata import requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cry_pipeline.deploy import install
from cry_pipeline_tests.conftest import WITHOUT_TORCH


def test_lock_names_every_dependency_once_and_no_address():
    text, lines = install.CONSTRAINTS.read_text(), list(install.lock())
    assert sum(line.startswith("torch==") for line in lines) == 1
    assert "://" not in text
    assert all(re.match(r"[a-z\d]|    --hash=", line) for line in text.splitlines())
    unmarked = [line.split("==")[0] for line in lines if ";" not in line]
    assert len(unmarked) == len(set(unmarked))


def test_lock_has_hashes_of_every_distribution():
    """For each that has builds: of several systems, so that the lock is not one for this machine alone."""
    assert all(hashes for hashes in install.lock().values())
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", value) for hashes in install.lock().values() for value in hashes)
    assert all(len(install.lock()[install.locked(name)]) > 10 for name in ("torch", "pyyaml", "onnxruntime", "ruff"))


def test_lock_names_whatever_an_extra_brings_to_this_machine():
    """What the lock does not name would be installed in any version and unchecked."""
    names = {line.partition("==")[0] for line in install.lock()}
    seen, ahead = set(), [("cry-pipeline", "dev")]
    while ahead:
        name, extra = ahead.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in [] if WITHOUT_TORCH and name == "torch" else requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                ahead += [(canonicalize_name(needed.name), wanted) for wanted in {"", *needed.extras}]
    assert len({name for name, _ in seen}) > 100
    assert {name for name, _ in seen} - names - {"cry-pipeline"} == set()


def test_lock_names_what_builds_the_package():
    names = {line.partition("==")[0] for line in install.lock()}
    assert names.issuperset(install.BUILD)


def test_installed_packages_are_the_locked_ones():
    """The environment the tests run in is the one a newcomer gets."""
    locked = dict(line.split(" ;")[0].split("==") for line in install.lock() if "; python" not in line)
    torch = [] if WITHOUT_TORCH else ["torch"]
    for name in ("dagster", "pandas", "pytorch-lightning", "scikit-learn", *torch):
        assert version(name).split("+")[0] == locked[name], name
