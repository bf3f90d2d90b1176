"""Two nodes that share nothing but a bucket of SeaweedFS: whole runs in turn, and a withdrawal that reaches all.

Minutes; only with ``CRY_PIPELINE_FAULTS=full`` (`make faults`).
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cry_pipeline.digests import sha256_of
from cry_pipeline.settings import Settings
from cry_pipeline.storage.bucket import Bucket, side_by_side
from cry_pipeline.storage.root import TREE, DataRoot
from cry_pipeline.storage.tree import Tree
from cry_pipeline_tests.buckets import make_bucket, seaweedfs
from cry_pipeline_tests.orchestration.installations import ODD, lay_in
from cry_pipeline_tests.ui.installed import environment, install

COMMAND = [sys.executable, "-m", "cry_pipeline.command.main"]
DONOR = ODD[:36]


@pytest.fixture
def place(full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with a corpus and an inbox."""
    if not full:
        pytest.skip("whole runs on two nodes only with CRY_PIPELINE_FAULTS=full")
    (tmp_path / "seaweedfs").mkdir()
    with seaweedfs(tmp_path / "seaweedfs") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield make_bucket(variables)


def upload(folder: Path, bucket: Bucket) -> None:
    """Put all files of a folder into a bucket."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    side_by_side(lambda path: bucket.write(path.relative_to(folder).as_posix(), path.read_bytes()), files)


def ask(node: Settings, *arguments: str) -> str:
    """Run the command on a node; return what it says."""
    variables = environment(node) | {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    done = subprocess.run(
        [*COMMAND, *arguments], env=variables, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def results(tree: Tree) -> dict[str, str]:
    """Return what is kept under digests, by path: what two nodes must have made alike."""
    parts = ("folds/", "runs/", "nulls/", "evidence/", "models/champions/")
    return {path: content.sha256 for path, content in tree.files.items() if path.startswith(parts)}


def test_two_nodes_share_a_bucket_and_nothing_else(place: str, tmp_path: Path, counted) -> None:
    installed = install(tmp_path / "installed")
    upload(tmp_path / "installed/corpus", Bucket(f"{place}/corpus"))
    lay_in(tmp_path / "inbox")
    donation = (tmp_path / "inbox" / ODD).read_bytes()
    upload(tmp_path / "inbox", Bucket(f"{place}/root/inbox"))
    stated = {"corpus": f"{place}/corpus", "data_root": f"{place}/root"}
    here, there = (installed.model_copy(update={**stated, "data": tmp_path / name}) for name in ("here", "there"))
    root = DataRoot(Bucket(f"{place}/root"), here.data)

    first = ask(here, "run")
    assert sum(map(int, re.findall(r"computed=(\d+)", first))) > 0
    before = root.tree()
    second = ask(there, "run")
    # What lies in a corpus and an inbox each node has to see for itself.
    made = [line for line in second.splitlines() if "computed=" in line and not re.search(r"inventory|raw/", line)]
    assert len(made) > 20
    assert [line for line in made if "computed=0 " not in line] == []
    assert results(root.tree()) == results(before)
    assert not (here.data / "features").exists()
    assert not (here.data / "archive").exists()

    holding = [entry.path for entry in root.bucket.objects() if sha256_of(donation) in entry.path]
    assert holding  # in the archive
    ask(there, "withdraw", "--donor", DONOR, "--yes")
    needles = [DONOR.encode(), sha256_of(donation).encode(), donation[2000:2064]]
    paths = [entry.path for entry in root.bucket.objects()]
    contents = side_by_side(root.bucket.read, paths)
    telling = [path for path, data in zip(paths, contents, strict=True) if any(one in data for one in needles)]
    assert telling == []
    assert TREE in paths
    ask(here, "review", "list", "--who", "me")  # whatever reads brings the working copy up
    files = [path for path in here.data.rglob("*") if path.is_file() and "dagster_home" not in path.parts]
    assert [path for path in files if any(one in path.read_bytes() for one in needles)] == []
    counted(whole_runs=2, computed_twice=0, traces_left=0)
