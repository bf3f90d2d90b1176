"""What assets are given to work with.

Belongs here: Dagster resources. Does not: anything an asset does with them.
"""

from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import dagster as dg

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots
    from cry_pipeline.engine import Engine
    from cry_pipeline.features.store.store import FeatureStore
    from cry_pipeline.training.runs import TrainingSettings

OF_THE_PROCESS = (
    "catalog",
    "decoder_cage",
    "retraining",
    "webhook_url",
    "study",
    "database_url",
    "ray_dashboard",
    "code_server_host",
    "ui_port",
    "site_port",
    "ui_url",
    "site_url",
)
"""Settings that a process reads from its own environment: what its assets are made of, its guard, where links lead."""


class Workspace(dg.ConfigurableResource):
    """One installation: where data live, how much of the machine to use. See `cry_pipeline.settings.Settings`."""

    data: str
    data_root: str | None = None
    corpus: str | None = None
    feature_store: str | None = None
    inbox_root: str | None = None
    archive_root: str | None = None
    workers: int
    engine: Literal["local", "ray"] = "local"
    batch_recordings: int
    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    device: int = 0
    deterministic: bool = False
    memory_mib: int = 2048
    tensorboard: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the workspace that ``settings`` describe."""
        return cls(**settings.model_dump(mode="json", exclude=set(OF_THE_PROCESS)))

    @cached_property
    def settings(self) -> Settings:
        """The same as settings, for domain functions."""
        # Once: settings look for what is misspelt among all variables of the environment, which takes 5 ms each time.
        fields = {name: getattr(self, name) for name in Settings.model_fields if name not in OF_THE_PROCESS}
        return Settings(**fields, catalog=None)

    def training(self) -> "TrainingSettings":
        """Return how much of the machine a run may use."""
        from cry_pipeline.storage.root import DataRoot
        from cry_pipeline.training.runs import TrainingSettings

        same = {
            field.name: getattr(self, field.name) for field in fields(TrainingSettings) if hasattr(self, field.name)
        }
        return TrainingSettings(**{**same, "engine": self.spread(), "root": DataRoot.of(self.settings)})

    def spread(self) -> "Engine":
        """Return what spreads work over cores or machines."""
        from cry_pipeline.engine import engine_of

        return engine_of(self.engine, self.workers)

    def roots(self) -> "Roots":
        """Return where the manifest's paths lead, as the last inventory found it."""
        from cry_pipeline.corpus.resolution import recorded_roots

        return recorded_roots(self.settings)

    def inventory(self, budget_s: float | None = None) -> "pd.DataFrame":
        """Return the inventory as of now, less what has arrived in the inbox since the intake: that it names."""
        from cry_pipeline.corpus.intake import seen_by
        from cry_pipeline.corpus.mirror import Mirror
        from cry_pipeline.corpus.sources import take_inventory
        from cry_pipeline.corpus.tombstones import read_tombstones

        settings = self.settings
        stones = read_tombstones(settings.withdrawn, settings.secret)
        files = take_inventory(self.roots(), settings.cache, budget_s, seen=seen_by(settings.cache), stones=stones)
        mirror = Mirror.of(settings)
        if mirror is not None:
            files.attrs["arrived"] += mirror.arrived()
        return files

    def recordings(self) -> "pd.DataFrame":
        """Return the manifest."""
        from cry_pipeline.corpus.manifest import read_recordings

        return read_recordings(self.settings.manifests / "recordings.parquet")

    def folds_path(self, name: str) -> Path:
        """Return where the folds called ``<cohort>_<protocol>`` are kept."""
        return self.settings.folds / f"{name}.parquet"

    def folds(self, name: str) -> "pd.DataFrame":
        """Return the folds called ``<cohort>_<protocol>``."""
        from cry_pipeline.folds.splitting import read_folds

        return read_folds(self.folds_path(name))

    def store(self, spec: FeatureSetSpec) -> "FeatureStore":
        """Return the store of one feature set, as a reader of today's manifest."""
        from cry_pipeline.artefacts import read_table
        from cry_pipeline.features.store.rows import samples_of
        from cry_pipeline.features.store.store import FeatureStore

        # Two columns of it, which the schema's check has looked at; that takes far longer than all else here.
        manifest = read_table(self.settings.manifests / "recordings.parquet")
        return FeatureStore.open(self.settings.features, spec).of(samples_of(manifest))
