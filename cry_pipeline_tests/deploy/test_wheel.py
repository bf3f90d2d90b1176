"""What a user of the package gets: the wheel's files and what it says of itself."""

import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

from cry_pipeline.deploy.install import REPOSITORY
from cry_pipeline.version import __version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("dist")))


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel into ``folder`` with what is installed here; returns its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_wheel_has_the_package_whole_and_no_tests(wheel: zipfile.ZipFile):
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "cry_pipeline"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    if tracked.returncode:
        pytest.skip("this is no checkout: git cannot tell what belongs to the package")
    expected = {name for name in tracked.stdout.split() if (REPOSITORY / name).exists()}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected
    kinds = {PurePosixPath(name).suffix for name in expected}
    assert {".py", ".typed", ".yaml", ".j2", ".txt", ".sha256"} <= kinds


def test_wheel_is_of_this_version_and_names_its_extras(metadata: Message):
    assert metadata["Version"] == __version__
    assert set(metadata.get_all("Provides-Extra", [])) == {
        *("train", "pipeline", "s3", "deploy", "ray", "mlflow", "tensorboard", "dev")
    }


def test_only_an_extra_brings_what_predicting_does_not_need(metadata: Message):
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    base = {requirement.name for requirement in required if requirement.marker is None}
    assert "onnxruntime" in base
    assert not base & {"torch", "pandas", "dagster", "scikit-learn", "librosa", "matplotlib", "zarr", "onnx"}
