"""Named selections of the graph that are run together.

Belongs here: jobs. Does not: when they run (automation.py).
"""

import dagster as dg

everything_job = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description="The main job: from raw audio to evidence. What is there and current is reused.",
)
ingest_job = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.groups("raw", "manifests", "features", "folds"),
    description="Take in what lies in the sources: manifest, features of what is new, folds. No training.",
)
training_job = dg.define_asset_job(
    "training",
    selection=dg.AssetSelection.groups("runs", "evidence", "reports", "models"),
    description="Train, evaluate, report and export every experiment whose data or parameters changed.",
)
