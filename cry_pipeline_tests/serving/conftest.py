"""Small sites to serve: one that is only looked at, and one of each test's own."""

from pathlib import Path

import pytest

from cry_pipeline.settings import Settings
from cry_pipeline_tests.serving.sites import Site, make_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An installation that has been run: two pages, and the recordings of sites.PLACES; only to be looked at."""
    folder = tmp_path_factory.mktemp("site")
    return make_site(Settings(data=folder / "data"), folder / "corpus")


@pytest.fixture
def own_site(settings: Settings, tmp_path: Path) -> Site:
    """The same, to change."""
    return make_site(settings, tmp_path / "corpus")
