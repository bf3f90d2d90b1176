"""An extraction with a workspace's means, for the assets that make features and the check that mends them.

Belongs here: handing settings on. Does not: extracting (features/extraction.py), and what is told of it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.features.extraction import ExtractionReport
    from cry_pipeline.features.store.store import FeatureStore


def computed(
    specs: Sequence[FeatureSetSpec], recordings: "pd.DataFrame", workspace: Workspace
) -> "list[tuple[FeatureStore, ExtractionReport]]":
    """Compute what the feature sets lack of ``recordings``; return the store of each, and what was done for it."""
    from cry_pipeline.features.extraction import device_of, extract_all
    from cry_pipeline.features.shards import extract_shards

    stores, engine = [workspace.store(spec) for spec in specs], workspace.spread()
    batches = {"batch_recordings": workspace.batch_recordings, "device": device_of(workspace.accelerator)}
    if engine.shares_memory:  # threads do, and need not import what each process would
        reports = extract_all(recordings, workspace.roots(), stores, workers=workspace.workers, **batches)
    else:
        reports = extract_shards(recordings, workspace.roots(), stores, engine, **batches)
    return list(zip(stores, reports, strict=True))
