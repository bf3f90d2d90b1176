"""Where data live and how much of the machine to use.

Belongs here: paths and resources that differ between machines. Does not: anything that changes a
result (that is the catalog's), and any read of the environment at import time.
"""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "CRY_PIPELINE_"
OF_TESTS = ("CRY_PIPELINE_FAULTS", "CRY_PIPELINE_WITHOUT_TORCH")
"""Variables of the same beginning that are no settings: how much is tested."""
MAY_HOLD_SECRETS = ("database_url", "webhook_url")
"""Settings that no message quotes."""
ALIKE = 0.85
"""How much the name of another variable is like a setting's where it is taken for a misspelt one; 1: equal."""


def _default_workers() -> int:
    from cry_pipeline.side_by_side import cores

    return min(cores(), 8)


class Settings(BaseSettings):
    """Settings of one installation; each field is set by ``CRY_PIPELINE_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=True
    )

    data: Path = Field(default=Path("data"), description="Folder for everything the pipeline produces.")
    data_root: str | None = Field(
        default=None,
        description="Where <data> is kept for all machines, s3://bucket/prefix; unset: <data> is on this one alone.",
    )
    corpus: str | Path | None = Field(
        default=None,
        description="A donateacry-corpus, a folder or s3://bucket/prefix; unset: found, fetched or generated.",
    )
    catalog: Path | None = Field(default=None, description="Folder of catalog YAML files; unset: the packaged catalog.")
    feature_store: str | None = Field(
        default=None,
        description="Root of the feature store, a folder or s3://bucket/prefix; unset: <data_root or data>/features.",
    )
    inbox_root: str | None = Field(
        default=None,
        description="Where donations are dropped, a folder or s3://bucket/prefix; unset: <data_root or data>/inbox.",
    )
    archive_root: str | None = Field(
        default=None,
        description="Where donations are kept, a folder or s3://bucket/prefix; unset: <data_root or data>/archive.",
    )
    workers: int = Field(
        default_factory=_default_workers, ge=1, description="Threads that decode audio, processes that train folds."
    )
    engine: Literal["local", "ray"] = Field(
        default="local",
        description="What spreads work: processes of this machine; a Ray cluster, RAY_ADDRESS's or one started here.",
    )
    batch_recordings: int = Field(default=32, ge=1, description="Recordings decoded and transformed at a time.")
    decoder_cage: Literal["require", "best", "off"] = Field(
        default="best",
        description="What holds the decoder of strangers' files: all of the cage, what the system has of it, nothing.",
    )
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = Field(
        default="auto",
        description="Where networks are trained; auto: on a CUDA GPU if there is one, else on the CPU, also on a Mac.",
    )
    device: int = Field(default=0, ge=0, description="Number of the GPU that networks are trained on.")
    deterministic: bool = Field(default=False, description="Whether a GPU must give the same bits every time.")
    memory_mib: int = Field(default=2048, ge=0, description="Images of a run larger than this are mapped from a file.")
    tensorboard: bool = Field(default=False, description="Whether learning curves are written for TensorBoard.")
    retraining: Literal["off", "weekly", "daily"] = Field(
        default="off", description="How often the daemon trains, by itself, what is stale once enough is new."
    )
    webhook_url: str | None = Field(
        default=None, description="Address that a failed run or a refused challenger is told to, as JSON; unset: none."
    )
    study: bool = Field(default=False, description="Whether the graph of the UI holds what only the study makes.")
    ui_port: int = Field(default=3000, ge=1, le=65535, description="Port of the Dagster UI.")
    site_port: int = Field(default=3001, ge=1, le=65535, description="Port of the site of reports.")
    database_url: str | None = Field(
        default=None,
        description="PostgreSQL of Dagster's records, postgresql+psycopg2://user@host/name; unset: files of SQLite.",
    )
    ray_dashboard: str | None = Field(
        default=None, description="Dashboard of the Ray cluster that executes the daemon's runs; unset: this machine."
    )
    code_server_host: str = Field(
        default="127.0.0.1", description="Host of the code server, where a deployment has one; its port is 4266."
    )
    ui_url: str | None = Field(
        default=None, description="Where people reach the Dagster UI; unset: on this machine, at its port."
    )
    site_url: str | None = Field(
        default=None, description="Where people reach the site of reports; unset: on this machine, at its port."
    )

    @model_validator(mode="before")
    @classmethod
    def _none_is_misspelt(cls, values: Any) -> Any:
        faults = _misspelt(os.environ, [f"{PREFIX}{name.upper()}" for name in cls.model_fields])
        if faults:
            raise ValueError("\n".join(faults))
        return values

    @field_validator(
        "data", "data_root", "corpus", "catalog", "feature_store", "inbox_root", "archive_root", mode="before"
    )
    @classmethod
    def _are_places(cls, place: Any) -> Any:
        """No shell stands between a unit file, or a container's, and these: see :func:`_located`."""
        return _located(place) if isinstance(place, (str, Path)) else place

    @field_validator("data_root")
    @classmethod
    def _is_in_a_bucket(cls, place: str | None) -> str | None:
        if place is not None and not re.match(r"s3://[^/]", place):
            raise ValueError("is no place in a bucket; write s3://bucket/prefix, or name a folder by CRY_PIPELINE_DATA")
        return None if place is None else place.rstrip("/")

    @field_validator("ui_url", "site_url", "webhook_url", "ray_dashboard")
    @classmethod
    def _are_addresses(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("is not an address that a browser opens; begin with http:// or https://")
        return url

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: str | None) -> str | None:
        """The driver has to be named: SQLAlchemy takes another one by itself than dagster-postgres installs."""
        if url is not None and not url.startswith("postgresql+psycopg2://"):
            raise ValueError("write postgresql+psycopg2://user@host:port/name, and the password into PGPASSWORD")
        return url

    @property
    def inbox(self) -> Path:
        """Folder that new donations are dropped into; where :attr:`inbox_place` is a bucket, that of its copies."""
        place = self.inbox_place
        return self.cache / "inbox" if "://" in place else Path(place)

    @property
    def inbox_place(self) -> str:
        """Where new donations are dropped: a folder's path, or ``s3://bucket/prefix``."""
        return self.inbox_root or self._at_root("inbox")

    @property
    def archive(self) -> str:
        """Where accepted donations are kept: a folder's path, or ``s3://bucket/prefix``; see corpus/archive.py."""
        return self.archive_root or self._at_root("archive")

    @property
    def corpus_folder(self) -> Path | None:
        """Folder of the corpus that is configured; of one in a bucket, that of its copy."""
        if self.corpus is None:
            return None
        return self.corpus_copy if "://" in str(self.corpus) else Path(self.corpus)

    @property
    def corpus_copy(self) -> Path:
        """Folder of the copy of a corpus that lies in a bucket; that is only read, and so is this."""
        return self.cache / "corpus"

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
        return self.feature_store or self._at_root("features")

    @property
    def folds(self) -> Path:
        """Folder of ``<cohort>_<protocol>.parquet``."""
        return self.data / "folds"

    @property
    def runs(self) -> Path:
        """Folder of trained folds, one directory per experiment and run."""
        return self.data / "runs"

    @property
    def nulls(self) -> Path:
        """Folder of what models trained on dealt labels came to, one directory per experiment and run."""
        return self.data / "nulls"

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
    def judgements(self) -> Path:
        """Folder of what people said of recordings after listening: one file for each judgement."""
        return self.data / "judgements"

    @property
    def donations(self) -> Path:
        """Folder of what the champion said of donations: scores, triage."""
        return self.data / "donations"

    @property
    def withdrawn(self) -> Path:
        """Folder of tombstones: the keyed hashes that are left of what was withdrawn."""
        return self.data / "withdrawn"

    @property
    def secret(self) -> Path:
        """File of this installation's secret: see secret.py."""
        return self.data / "secret.json"

    def _at_root(self, name: str) -> str:
        return f"{self.data_root}/{name}" if self.data_root else str(self.data / name)

    @property
    def ui_address(self) -> str:
        """Where people reach the Dagster UI, without a slash at the end."""
        return (self.ui_url or f"http://127.0.0.1:{self.ui_port}").rstrip("/")

    @property
    def site_address(self) -> str:
        """Where people reach the site of reports, without a slash at the end."""
        return (self.site_url or f"http://127.0.0.1:{self.site_port}").rstrip("/")

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: ``DAGSTER_HOME``."""
        return self.data / "dagster_home"


class SettingsError(ValueError):
    """An environment variable holds something that is not allowed; the message names it."""


def load_settings() -> Settings:
    """Return the settings that the environment gives.

    Raises:
        SettingsError: a value is not allowed, or a variable's name is like a setting's and is none.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_say(fault) for fault in error.errors())) from None


def _say(fault: Any) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    name = str(fault["loc"][0])
    found = "" if name in MAY_HOLD_SECRETS else f" (found {str(fault['input'])!r})"
    return f"{PREFIX}{name.upper()}: {message}{found}"


def _misspelt(names: Iterable[str], settings: list[str]) -> list[str]:
    """Return a sentence for each name that is meant for a setting and would be ignored."""
    faults = []
    for name in sorted(names):
        written = name.upper()
        if written in settings or written in OF_TESTS:
            continue
        ours = written.startswith(PREFIX)
        alike = get_close_matches(written, settings, n=1, cutoff=0.0 if ours else ALIKE)
        if ours or (alike and written.startswith("CRY")):
            faults.append(f"{name}: there is no such setting; the nearest is {alike[0]} (unset it, or rename it)")
    return faults


def _located(place: str | Path) -> str:
    """Return where ``place`` lies, wherever the process goes: absolute, with ``~`` and ``$NAME`` filled in.

    Raises:
        ValueError: there is no such home folder or variable, or the place is in quotes.
    """
    written = str(place).strip()
    if "://" in written:
        return written
    if not written:
        raise ValueError("is blank; unset it, or name a folder")
    if written[0] == written[-1] and written[0] in "'\"":
        raise ValueError("is in quotes, and nothing removes them here; leave them out")
    expanded = os.path.expandvars(os.path.expanduser(written))  # noqa: PTH111 - pathlib's raises where there is no home
    if expanded.startswith("~"):
        raise ValueError("the home folder that ~ stands for is not known; write the whole path")
    if "$" in expanded:
        raise ValueError("names a variable that is not set; write the whole path")
    try:
        expanded.encode()
        return str(Path(expanded).absolute())
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8; tables and links cannot name it") from None
    except FileNotFoundError:
        raise ValueError("is not absolute, and the current folder no longer exists") from None
