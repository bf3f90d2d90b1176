"""A corpus without its uploads of May 2015, these as donations to come, and a catalog that is trained in minutes.

Belongs here: what there is before the first step. Does not: the steps (__main__.py), nor processes (daemon.py).
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from cry_pipeline.catalog import load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS
from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES
from cry_pipeline.corpus.filenames import FilenameError, describe
from cry_pipeline.corpus.manifest import NEVER_KEPT
from cry_pipeline.corpus.sources import CLEANED, LAYOUT
from cry_pipeline.digests import sha256_of_file
from cry_pipeline.settings import Settings

MAY = pd.Timestamp("2015-05-01", tz="UTC")
CHAMPION = "curation_svm_covariance_donor_hashed"
EXPERIMENTS = [CHAMPION, *(f"curation_{name}_donor_hashed" for name in ("majority", "metadata_only", "platform_only"))]
"""The champion's only candidate, and its shortcuts, without which it has no verdict."""


class Upload(NamedTuple):
    """A donation to come: where it lies, and what the curators' choice says of it; None where they did not listen."""

    path: Path
    recording_id: str
    donor: str
    recorded_at: pd.Timestamp
    label: str | None


@dataclass(frozen=True)
class World:
    """Settings of an installation that has nothing yet, and the donations to come in the order of their recording."""

    settings: Settings
    uploads: list[Upload]

    @property
    def environment(self) -> dict[str, str]:
        """Variables for processes that work on the installation."""
        where = self.settings
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("CRY_PIPELINE_", "DAGSTER_"))}
        return ours | {
            "DAGSTER_HOME": str(where.dagster_home),
            "CRY_PIPELINE_DATA": str(where.data),
            "CRY_PIPELINE_CORPUS": str(where.corpus),
            "CRY_PIPELINE_CATALOG": str(where.catalog),
            "CRY_PIPELINE_ACCELERATOR": "cpu",
        }


def make_world(corpus: Path, folder: Path, donors: int | None = None) -> World:
    """Copy ``corpus`` to ``folder`` less what was recorded in May or later, and write the catalog.

    Args:
        corpus: of the layout of donateacry-corpus.
        folder: empty.
        donors: of the recordings before May and of those since, at most so many donors, those with most uploads; None
            for all.
    """
    files = [path for path in sorted(corpus.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES and _top(path, corpus)]
    cleaned = {path.stem for path in files if _top(path, corpus) == CLEANED}
    uploads = [upload for path in files if _top(path, corpus) != CLEANED and (upload := _upload(path, cleaned))]
    later = [upload for upload in uploads if upload.recorded_at >= MAY]
    before = _of_most([upload for upload in uploads if upload.recorded_at < MAY], donors)
    later, stems = _of_most(later, donors), {upload.path.stem for upload in before}
    for path in files:
        if path.stem in stems:
            to = folder / "corpus" / path.relative_to(corpus)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    settings = Settings(
        data=folder / "data",
        corpus=folder / "corpus",
        catalog=_catalog(folder / "catalog"),
        accelerator="cpu",
        feature_store=None,
    )
    return World(settings, sorted(later, key=lambda upload: (upload.recorded_at, upload.recording_id)))


def _top(path: Path, corpus: Path) -> str | None:
    top = path.relative_to(corpus).parts[0]
    return top if top in LAYOUT else None


def _upload(path: Path, cleaned: set[str]) -> Upload | None:
    """Return what is known of an upload; None of one whose name says nothing: nobody would take it in."""
    try:
        name = describe(path.name, None)
    except FilenameError:
        return None
    label = "cry" if path.stem in cleaned else None if name.reason in NEVER_KEPT else "not_cry"
    return Upload(path, sha256_of_file(path), name.donor, pd.Timestamp(name.recorded_at), label)


def _of_most(uploads: list[Upload], donors: int | None) -> list[Upload]:
    counts = pd.Series([upload.donor for upload in uploads if upload.label]).value_counts()
    chosen = set(sorted(counts.index, key=lambda donor: (-counts[donor], donor))[:donors])
    return [upload for upload in uploads if upload.donor in chosen]


def _catalog(folder: Path) -> Path:
    """Write the packaged catalog with nothing but the champion's experiments, and the feature set that they use."""
    folder.mkdir(parents=True)
    for section in SECTIONS:
        shutil.copy(PACKAGED / f"{section}.yaml", folder)
    packaged = load_catalog()
    kept = {name: packaged.experiments[name].model_dump(mode="json") for name in EXPERIMENTS}
    features = yaml.safe_load((folder / "feature_sets.yaml").read_text(encoding="utf-8"))
    used = {experiment["feature_set"] for experiment in kept.values()}
    for section, content in {
        "experiments": kept,
        "feature_sets": {name: features[name] for name in used},
        "champion": {"cry": [CHAMPION]},
    }.items():
        (folder / f"{section}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder
