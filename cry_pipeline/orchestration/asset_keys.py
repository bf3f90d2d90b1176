"""Keys of the assets that more than one file names, and the tags that people filter them by.

Belongs here: keys and tags. Does not: the assets (assets/), which import them from here as checks and sensors do.
"""

import dagster as dg

from cry_pipeline.catalog import Catalog

DONATIONS = dg.AssetKey(["raw", "donations"])
INVENTORY = dg.AssetKey(["raw", "inventory"])
JUDGEMENTS = dg.AssetKey(["raw", "judgements"])
RECORDINGS = dg.AssetKey(["manifests", "recordings"])
QUARANTINE = dg.AssetKey(["manifests", "quarantine"])
CHAMPION = dg.AssetKey(["models", "champion"])
TRIAGE = dg.AssetKey(["donations", "triage"])
OF_STUDY = dg.AssetKey(["reports", "of_study"])
STUDY = "study"
"""The group of what `make run` leaves to `make study`, and the job that makes it."""
LONGEST_TAG = 63
"""Characters that Dagster allows in a tag."""


def run_key(name: str, catalog: Catalog) -> dg.AssetKey:
    """Return the key of the run of experiment ``name``: ``runs/<cohort>/<protocol>/<model>``."""
    return dg.AssetKey(["runs", *catalog.place_of(name)])


def evidence_key(name: str, catalog: Catalog) -> dg.AssetKey:
    """Return the key of the evidence of experiment ``name``: ``evidence/<cohort>/<protocol>/<model>``."""
    return dg.AssetKey(["evidence", *catalog.place_of(name)])


def group_of(stage: str, name: str, catalog: Catalog) -> str:
    """Return the group of the asset of experiment ``name`` in ``stage``: the stage, or that of the study."""
    return STUDY if catalog.experiments[name].tier == STUDY else stage


def experiment_tags(name: str, catalog: Catalog) -> dict[str, str]:
    """Return the tags of all assets of experiment ``name``: what it is made of, and its tier."""
    experiment = catalog.experiments[name]
    return tags(**{part: getattr(experiment, part) for part in ("tier", "cohort", "model", "protocol", "feature_set")})


def tags(**values: str) -> dict[str, str]:
    """Return ``values`` as Dagster bears them: the UI filters by ``tag:"model"="svm"``."""
    return {name: value[:LONGEST_TAG] for name, value in values.items()}
