"""What a model on one row of values per recording sees of an experiment's recordings.

Belongs here: reading it, for whoever fits models anew (evaluation/refitting.py). Does not: fitting, and runs that are
kept (assets/runs.py).
"""

from typing import TYPE_CHECKING, Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def values_of(name: str, catalog: Catalog, workspace: Workspace, folds: "pd.DataFrame") -> "np.ndarray":
    """Return the values that the model of experiment ``name`` sees of the recordings in ``folds``, by rising id.

    Args:
        name: of an experiment whose model is on values; its folds hold no copies.
        catalog: what the name means.
        workspace: where features and manifest are.
        folds: of the run: recording_id, donor, label, repeat, fold.

    Returns:
        ``[recordings, values]``, as the model's ``values()`` gives it.
    """
    from cry_pipeline.training.datasets import rows_of
    from cry_pipeline.training.registry import implementation

    experiment = catalog.experiments[name]
    spec, ids = catalog.models[experiment.model], sorted(set(folds["recording_id"]))
    features = None
    if spec.inputs:
        features = workspace.store(catalog.feature_sets[experiment.feature_set]).read(ids, list(spec.inputs))
    metadata = workspace.recordings() if spec.metadata else None
    model: Any = implementation(spec.kind)
    return model.values(spec, rows_of(folds, catalog.cohorts[experiment.cohort].classes, features, metadata))
