"""What assets are given to work with.

Belongs here: Dagster resources. Does not: anything an asset does with them.
"""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import dagster as dg

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots
    from cry_pipeline.features.store.store import FeatureStore
    from cry_pipeline.training.runs import TrainingSettings

OF_THE_PROCESS = ("catalog", "decoder_cage", "study", "ui_port", "site_port", "ui_url", "site_url")
"""Settings that a process reads from its own environment: what its assets are made of, its guard, where links lead."""


class Workspace(dg.ConfigurableResource):
    """One installation: where data live, how much of the machine to use. See `cry_pipeline.settings.Settings`."""

    data: str
    corpus: str | None = None
    feature_store: str | None = None
    workers: int
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

    @property
    def settings(self) -> Settings:
        """The same as settings, for domain functions."""
        fields = {name: getattr(self, name) for name in Settings.model_fields if name not in OF_THE_PROCESS}
        return Settings(**fields, catalog=None)

    def training(self) -> "TrainingSettings":
        """Return how much of the machine a run may use."""
        from cry_pipeline.training.runs import TrainingSettings

        return TrainingSettings(**{field.name: getattr(self, field.name) for field in fields(TrainingSettings)})

    def roots(self) -> "Roots":
        """Return where the manifest's paths lead, as the last inventory found it."""
        from cry_pipeline.corpus.resolution import read_resolution
        from cry_pipeline.corpus.sources import Roots

        return Roots(read_resolution(self.settings.manifests).path, self.settings.inbox)

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
