"""Named selections of the graph that are run together.

Belongs here: jobs, and which assets are of the study alone. Does not: when they run (automation.py).
"""

from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.instance import LONGEST_STUDY_H

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

EVERYTHING, STUDY, INGEST, TRAINING = "everything", "study", "ingest", "training"
OF_STUDY = dg.AssetKey(["reports", "of_study"])


def study_only(catalog: Catalog) -> dg.AssetSelection:
    """Return what ``make run`` leaves to ``make study``: runs, evidence and folds of the study alone."""
    experiments, folds = catalog.study_only()
    keys = [dg.AssetKey(["folds", name]) for name in sorted(folds)]
    keys += [dg.AssetKey([stage, name]) for stage in ("runs", "evidence") for name in sorted(experiments)]
    return dg.AssetSelection.assets(*keys, *([OF_STUDY] if experiments else []))


def by_default(catalog: Catalog) -> dg.AssetSelection:
    """Return every asset but those of the study alone."""
    return dg.AssetSelection.all() - study_only(catalog)


def all_jobs(catalog: Catalog) -> "list[UnresolvedAssetJobDefinition]":
    """Return the jobs; only ``study`` touches what is of the study alone."""
    default = by_default(catalog)
    return [
        dg.define_asset_job(
            EVERYTHING,
            selection=default,
            description="The main job: from raw audio to evidence. What is there and current is reused.",
        ),
        dg.define_asset_job(
            STUDY,
            selection=dg.AssetSelection.all(),
            description="The main job with the experiments of tier study: hours. If it is stopped, start it again: it "
            "goes on where it was.",
            tags={MAX_RUNTIME_SECONDS_TAG: str(LONGEST_STUDY_H * 3600)},
        ),
        dg.define_asset_job(
            INGEST,
            selection=default & dg.AssetSelection.groups("raw", "manifests", "features", "folds"),
            description="Take in the files of the sources: manifest, features of new recordings, folds. No training.",
        ),
        dg.define_asset_job(
            TRAINING,
            selection=default - dg.AssetSelection.groups("raw", "manifests", "features", "folds"),
            description="Train, evaluate, report and export every experiment whose data or parameters changed.",
        ),
    ]
