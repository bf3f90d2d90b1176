"""One deployment for all tests of `make test-deploy` that need one; what was counted is shown at the end."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from cry_pipeline_tests.faults.conftest import counted, pytest_terminal_summary

if TYPE_CHECKING:
    from cry_pipeline_tests.deploy.production import Production

__all__ = ["counted", "pytest_terminal_summary"]


@pytest.fixture(scope="session")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Production]":
    from cry_pipeline_tests.deploy.machine import missing
    from cry_pipeline_tests.deploy.production import started

    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    with started(tmp_path_factory.mktemp("production")) as production:
        yield production


@pytest.fixture
def production(_deployed: "Production", request: pytest.FixtureRequest) -> "Iterator[Production]":
    """The deployment, with all services healthy; what they said is shown where the test fails."""
    failed = request.session.testsfailed
    _deployed.restore()
    yield _deployed
    if request.session.testsfailed > failed:
        for name, container in _deployed.machine.running.items():
            print(f"----- {name}\n{container.said()[-4000:]}")  # noqa: T201 - of a failed test
