"""A cluster of a head and two nodes that work, and an installation whose runs are executed there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cry_pipeline_tests.orchestration.installations import Installation
from cry_pipeline_tests.ray import clusters
from cry_pipeline_tests.ray.deployment import Deployment, deployed, nodes_environment, postgres
from cry_pipeline_tests.ui.installed import install

ROLES = ("left", "right")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why nothing is tested where nodes cannot have a network each."""
    if not clusters.IN_NAMESPACES:
        reason = "nodes get a network each, which needs root, and the commands ip and nsenter"
        for item in items:
            if item.get_closest_marker("ray"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An installation with daemon and code server, and a cluster of a head and two nodes; one for a file of tests."""
    folder = tmp_path_factory.mktemp("deployment")
    installation = Installation(install(folder / "installation"))
    with (
        clusters.network(nodes_environment(installation)) as cluster,
        postgres(cluster.folder, cluster.gateway) as url,
    ):
        cluster.environment |= {"CRY_PIPELINE_DATABASE_URL": url}
        clusters.start(cluster, dict.fromkeys(ROLES, 1))
        with deployed(installation, cluster, folder, url) as started:
            yield started


@pytest.fixture
def whole(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment with all of its nodes up, and nothing that lasts any more."""
    data = deployment.installation.settings.data
    deployment.cluster.restore()
    for name in ("end", "lasted"):
        (data / name).unlink(missing_ok=True)
    yield deployment
    (data / "end").touch()


def said_by(path: Path) -> list[tuple[str, str]]:
    """Return who has begun and who has ended to last, in order."""
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []  # pyright: ignore[reportReturnType]


def report(words: str) -> None:
    """Say what was measured, to whoever runs the tests with ``-s``."""
    sys.stdout.write(f"\n{words}\n")
