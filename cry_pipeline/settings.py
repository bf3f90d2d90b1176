"""Where data live and how much of the machine to use.

Belongs here: paths and resources that differ between machines. Does not: anything that changes a
result (that is the catalog's), and any read of the environment at import time.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one installation; each field is set by ``CRY_PIPELINE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CRY_PIPELINE_", env_ignore_empty=True, extra="forbid", frozen=True)

    data: Path = Field(default=Path("data"), description="Folder for everything the pipeline produces.")
    corpus: Path | None = Field(default=None, description="A donateacry-corpus; unset: found, fetched or generated.")
    catalog: Path | None = Field(default=None, description="Folder of catalog YAML files; unset: the packaged catalog.")
    feature_store: str | None = Field(
        default=None, description="Root of the feature store, a folder or s3://bucket/prefix; unset: <data>/features."
    )
    workers: int = Field(
        default=min(os.cpu_count() or 1, 8), ge=1, description="Threads that decode audio, processes that train folds."
    )
    batch_recordings: int = Field(default=32, ge=1, description="Recordings decoded and transformed at a time.")
    accelerator: Literal["auto", "cpu", "gpu"] = Field(default="auto", description="Where networks are trained.")
    device: int = Field(default=0, ge=0, description="Number of the GPU that networks are trained on.")
    deterministic: bool = Field(default=False, description="Whether a GPU must give the same bits every time.")
    memory_mib: int = Field(default=2048, ge=0, description="Images of a run larger than this are mapped from a file.")
    tensorboard: bool = Field(default=False, description="Whether learning curves are written for TensorBoard.")

    @property
    def inbox(self) -> Path:
        """Folder that new donations are dropped into."""
        return self.data / "inbox"

    @property
    def corpora(self) -> Path:
        """Folder of fetched or generated corpora."""
        return self.data / "corpora"

    @property
    def cache(self) -> Path:
        """Folder of work that can be done again: file hashes, probed audio."""
        return self.data / "cache"

    @property
    def manifests(self) -> Path:
        """Folder of ``inventory.parquet``, ``recordings.parquet`` and ``quarantine.parquet``."""
        return self.data / "manifests"

    @property
    def features(self) -> str:
        """Root of the feature store: a folder's path, or ``s3://bucket/prefix``."""
        return self.feature_store or str(self.data / "features")

    @property
    def folds(self) -> Path:
        """Folder of ``<cohort>_<protocol>.parquet``."""
        return self.data / "folds"

    @property
    def runs(self) -> Path:
        """Folder of trained folds, one directory per experiment and run."""
        return self.data / "runs"

    @property
    def evidence(self) -> Path:
        """Folder of evidence, one directory per experiment and run."""
        return self.data / "evidence"

    @property
    def models(self) -> Path:
        """Folder of exported models: ``champions/<digest>/``, and ``champion.json``, which names the one in use."""
        return self.data / "models"

    @property
    def reports(self) -> Path:
        """Folder of HTML pages and their tables."""
        return self.data / "reports"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: ``DAGSTER_HOME``."""
        return self.data / "dagster_home"


class SettingsError(ValueError):
    """An environment variable holds something that is not allowed; the message names it."""


def load_settings() -> Settings:
    """Return the settings that the environment gives.

    Raises:
        SettingsError: a value is not allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = (f"CRY_PIPELINE_{str(e['loc'][0]).upper()}: {e['msg']} (found {e['input']!r})" for e in error.errors())
        raise SettingsError("\n".join(faults)) from None
