"""Named selections of the graph that are run together.

Belongs here: jobs. Does not: when they run (automation.py), and which assets there are (assets/).
"""

from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from cry_pipeline.orchestration.asset_keys import STUDY
from cry_pipeline.orchestration.instance import LONGEST_STUDY_H

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

EVERYTHING, INGEST, TRAINING = "everything", "ingest", "training"


def by_default() -> dg.AssetSelection:
    """Return every asset but those of the study alone."""
    return dg.AssetSelection.all() - dg.AssetSelection.groups(STUDY)


def all_jobs(*, study: bool) -> "list[UnresolvedAssetJobDefinition]":
    """Return the jobs; with ``study`` also the one that touches what is of the study alone."""
    default = by_default()
    # Whoever donates looks at these pages, and not once a week.
    of_donations = dg.AssetSelection.groups("donations") | dg.AssetSelection.assets(
        ["reports", "donations"], ["reports", "live"], ["reports", "relistening"]
    )
    taking_in = default & (
        dg.AssetSelection.groups("raw", "manifests", "features", "folds")
        | dg.AssetSelection.assets(["reports", "manifest"])
        | of_donations
    )
    jobs = [
        dg.define_asset_job(
            EVERYTHING,
            selection=default,
            description="The main job: from raw audio to evidence. What is there and current is reused.",
        ),
        dg.define_asset_job(
            INGEST,
            selection=taking_in,
            description="Take in the files of the sources: manifest, features of new recordings, folds, triage of "
            "donations, and the pages of recordings and donations. No training.",
        ),
        dg.define_asset_job(
            TRAINING,
            # A new champion decides on donations from now on, and on those that came before there was any.
            selection=(default - taking_in) | of_donations,
            description="Train, evaluate, report and export every experiment whose data or parameters changed.",
        ),
    ]
    return [*jobs, _study()] if study else jobs


def _study() -> "UnresolvedAssetJobDefinition":
    return dg.define_asset_job(
        STUDY,
        selection=dg.AssetSelection.all(),
        description="The main job with the experiments of tier study: hours. If it is stopped, start it again: it "
        "goes on where it was.",
        tags={MAX_RUNTIME_SECONDS_TAG: str(LONGEST_STUDY_H * 3600)},
    )
