"""The workspace is the settings, in what Dagster can keep as configuration."""

from pathlib import Path

from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings


def test_a_workspace_gives_back_the_settings_it_was_made_of() -> None:
    settings = Settings(
        data=Path("some/data"), corpus=Path("some/corpus"), feature_store="s3://bucket/prefix", workers=3, device=1
    )
    assert Workspace.of(settings).settings == settings
    bare = Settings(data=Path("some/data"), corpus=None, feature_store=None, memory_mib=7, tensorboard=True)
    assert Workspace.of(bare).settings == bare
