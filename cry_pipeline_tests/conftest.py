"""Fixtures shared by all tests: where the real corpus is, and a data folder of each test's own."""

import os
import sys
from collections.abc import Generator, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path

import hypothesis
import pytest

from cry_pipeline.evaluation import retrained
from cry_pipeline.features.kernel import sources_digest
from cry_pipeline.settings import Settings
from cry_pipeline_tests.buckets import make_bucket, s3_service

pytest_plugins = [
    f"cry_pipeline_tests.{name}" for name in ("evaluation.made_up", "mlflows", "orchestration.installations")
]

CORPUS = os.environ.get("CRY_PIPELINE_CORPUS")
WITHOUT_TORCH = bool(os.environ.get("CRY_PIPELINE_WITHOUT_TORCH"))
"""Set by `make test-newest`, whose environment has no torch: what needs it is then skipped, saying so."""
NO_TORCH = "torch is not installed in this environment"


hypothesis.settings.register_profile("everyday", derandomize=True)
hypothesis.settings.register_profile("searching", print_blob=True)
hypothesis.settings.load_profile("everyday")
# The same cases each time: what lands is not decided by chance. `make fuzz` looks for new ones.


class _SkipWhatNeedsTorch(MetaPathFinder):
    """Makes `import torch` skip the module or test that leads to it; for others torch is simply not there."""

    USERS = frozenset({"cry_pipeline", "cry_pipeline_tests", "lightning_fabric", "pytorch_lightning", "torchmetrics"})

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "torch" and self._importer() in self.USERS:
            pytest.skip(NO_TORCH, allow_module_level=True)

    @staticmethod
    def _importer() -> str:
        frame = sys._getframe(2)
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("importlib"):
            frame = frame.f_back
        return frame.f_globals.get("__name__", "").partition(".")[0]


if WITHOUT_TORCH:
    sys.meta_path.insert(0, _SkipWhatNeedsTorch())


def pytest_configure(config: pytest.Config) -> None:
    """Let data folders of tests, which are new each, share what numba compiled."""
    assert config.cache
    os.environ.setdefault("NUMBA_CACHE_DIR", str(config.cache.mkdir(f"kernel-{sources_digest()}")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let names that are no text be captured: xdist sends what a test printed as UTF-8, and ends where it is none."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads or writes what another test, or the user, has."""
    for name in _of_installations():
        monkeypatch.delenv(name)
    monkeypatch.setenv("CRY_PIPELINE_DATA", str(tmp_path / "data"))
    yield
    # What opens an instance names its home and its database: a fixture of the next module comes before this one.
    for name in _of_installations():
        del os.environ[name]


def _of_installations() -> list[str]:
    return [name for name in os.environ if name.startswith(("CRY_PIPELINE_", "DAGSTER_", "AWS_", "MLFLOW_"))]


@pytest.fixture(scope="session", autouse=True)
def _few_deals() -> Iterator[None]:
    """Nulls of few deals: an installation of a test has them trained for every experiment that is cheap to fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrained, "DEALS", 12)
        patch.setattr(retrained, "FEWEST_DEALS", 10)
        yield


@pytest.fixture
def settings(_own_data_folder: None) -> Settings:
    """Settings whose data folder is the test's own."""
    return Settings()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The real corpus; tests that ask for it are skipped, saying so, where there is none."""
    if not CORPUS:
        pytest.skip("CRY_PIPELINE_CORPUS is not set: tests on the real corpus are skipped")
    return Path(CORPUS)


@pytest.fixture(scope="session")
def _s3_service() -> Iterator[dict[str, str]]:
    with s3_service() as environment:
        yield environment


@pytest.fixture
def bucket(_s3_service: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """``s3://…`` of an empty bucket of the test's own, at a service that the environment leads to."""
    for name, value in _s3_service.items():
        monkeypatch.setenv(name, value)
    return make_bucket(_s3_service)
