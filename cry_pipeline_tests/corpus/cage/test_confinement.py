"""A decoder that a stranger has taken over gets nowhere, neither past the whole cage nor past its parts alone."""

import json
import platform
import re
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from cry_pipeline.corpus.cage import confinement
from cry_pipeline.corpus.cage.confinement import PARTS
from cry_pipeline_tests.corpus.cage import escapes

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
NAMES = {"fstatat": "newfstatat"}
"""What the header of aarch64 calls otherwise."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in HEADERS, reason="this system has no such cage"
)


@cache
def outcomes(mode: str, folder: Path) -> dict[str, tuple[str, str]]:
    """What became of each escape; the server that some of them call was called by none."""
    folder.joinpath("target").write_bytes(b"secret")
    folder.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        program = [sys.executable, "-m", escapes.__name__, mode, str(folder / "target"), str(server.getsockname()[1])]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60)
        assert not done.returncode, done.stderr
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [path.name for path in folder.iterdir()] == ["target"]
    assert folder.joinpath("target").read_bytes() == b"secret"
    return {name: tuple(told) for name, told in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scene")


@pytest.mark.parametrize(("mode", "name"), [(mode, name) for mode, tried in escapes.MODES.items() for name in tried])
def test_an_escape_is_refused_or_ends_the_process(mode: str, name: str, folder: Path):
    parts, outcome = outcomes(mode, folder)[name]
    if mode == "landlock" and "landlock" not in parts:
        pytest.skip("this kernel has no Landlock")
    assert re.match(r"refused: |ended by SIGSYS$", outcome), outcome


def test_what_the_escapes_try_is_possible_outside(folder: Path):
    """The tests above can fail: none of these is refused to a process that is not confined."""
    code = (
        "import os, sys\nfrom cry_pipeline_tests.corpus.cage import escapes\n"
        "escapes.confinement.confine = lambda _: ()\n"
        "escapes.MODES['whole'] = {n: e for n, e in escapes.MODES['whole'].items() if n in sys.argv[4:]}\n"
        "escapes.main()"
    )
    possible = ["read a file", "list a folder", "make a pipe", "start a process", "signal the parent", "copy a pipe"]
    program = [sys.executable, "-c", code, "whole", str(folder / "target"), "9", *possible]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    # A fork says "escaped" on both sides.
    assert {told[1].replace("\nescaped", "") for told in json.loads(done.stdout).values()} == {"escaped"}


def test_a_kernel_of_today_gives_the_whole_cage(folder: Path):
    told = {parts for parts, outcome in outcomes("whole", folder).values() if outcome.startswith("refused")}
    assert told <= {",".join(PARTS), ",".join(part for part in PARTS if part != "landlock")}


@pytest.mark.parametrize("machine", HEADERS)
def test_numbers_of_system_calls_are_the_kernels(machine: str):
    if not HEADERS[machine].exists():
        pytest.skip("the headers of the kernel are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text(encoding="utf-8"))
    kernels = {NAMES.get(name, name): int(number) for name, number in found}
    place = list(HEADERS).index(machine)
    for calls in (confinement._ALLOWED, confinement._NO_CODE, confinement._REFUSED):
        assert {name: numbers[place] for name, numbers in calls.items()} == {name: kernels.get(name) for name in calls}
