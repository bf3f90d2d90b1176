"""The feature store: each feature set with its rows, parts and bytes, what failed, and what it is used by.

Belongs here: what of the store a page shows. Does not: looking into it (orchestration hands it in), what feature sets
look like and cost (feature_sets.py), and the page's words and looks (``templates/``).
"""

from dataclasses import asdict
from typing import Any

from cry_pipeline.reports.material import Stored
from cry_pipeline.reports.pages import picture
from cry_pipeline.reports.report import Material, Report

LISTED = 50
"""Failed recordings of a feature set that the page shows at most."""
MEGABYTE = 1e6


class StoreError(ValueError):
    """There is no feature store to show; the message says what to do."""


def stored_of(material: Material) -> Stored:
    """Return what the page is made of.

    Raises:
        StoreError: nothing is.
    """
    if material.stored is None:
        raise StoreError("There is no feature store to show: hand in what is stored.")
    return material.stored


def store_page(stored: Stored, material: Material) -> dict[str, Any]:
    """Return what the page shows."""
    catalog, found = material.catalog, {result.provenance.experiment: result for result in material.evidence}
    users: dict[str, list[tuple[str, Any]]] = {name: [] for name in catalog.feature_sets}
    for name, experiment in catalog.experiments.items():
        if catalog.models[experiment.model].inputs:
            users[experiment.feature_set].append((name, found.get(name)))
    return {
        "synthetic": stored.synthetic,
        "sets": stored.sets,
        "unlisted": stored.unlisted,
        "faults": stored.faults,
        "bytes": sum(each.bytes + each.superseded_bytes for each in stored.sets)
        + sum(each.bytes for each in stored.unlisted),
        "specs": catalog.feature_sets,
        "users": users,
        "listed": LISTED,
        "picture_of_sizes": _picture(stored) if stored.sets else None,
    }


def _picture(stored: Stored) -> Any:
    import pandas as pd

    from cry_pipeline.reports.figures import counts as plots

    sizes = {each.name: (each.bytes + each.superseded_bytes) / MEGABYTE for each in stored.sets}
    return picture(
        lambda theme: plots.bars(
            pd.Series(sizes, dtype=float), "Size of each feature set", theme, written="{:,.1f} MB"
        ),
        "Size of each feature set on the disk; the table holds the same numbers.",
    )


STORE_PAGE = Report(
    name="feature_store",
    stage="store_page",
    file="store",
    title="Feature store",
    description="What is stored of each feature set, in rows, parts and bytes, what failed, and what it is used by.",
    reads=("evidence", "stored"),
    spec=lambda catalog: {
        "descriptions": {name: spec.description for name, spec in catalog.feature_sets.items()},
        "users": {name: [each.feature_set, each.model] for name, each in catalog.experiments.items()},
    },
    inputs=lambda material: {"stored": asdict(stored_of(material)), "evidence": material.digests},
    content=stored_of,
    page=store_page,
)
