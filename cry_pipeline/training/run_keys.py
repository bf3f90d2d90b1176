"""What decides a run's predictions: its digest, and what of it is known before anything is read.

Belongs here: the parts of both, in one function each. Does not: what runs do (runs.py), and finding out what a machine
makes of a spec (resolved.py). The asset graph is loaded with this module: no torch, and nothing is looked up.
"""

from typing import TYPE_CHECKING, Any

from cry_pipeline import keys
from cry_pipeline.artefacts import table_digest
from cry_pipeline.catalog import Catalog, ExperimentSpec
from cry_pipeline.catalog.models import single_models
from cry_pipeline.training.registry import COPIES_REVISION, revision_of

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.catalog import ModelSpec
    from cry_pipeline.training.resolved import Resolved

ROWS = ["repeat", "fold", "recording_id", "donor", "label"]


def stage_of(model: "ModelSpec") -> str:
    """Return the stage of :data:`cry_pipeline.keys.STAGES` that a run of ``model`` is, by the libraries that fit it."""
    networks = {single.is_network for single in single_models(model)}
    return "run_ensemble" if len(networks) > 1 else "run_network" if networks == {True} else "run_values"


def code_spec(experiment: ExperimentSpec, catalog: Catalog) -> dict[str, Any]:
    """Return what the catalog and the code say of a run, as JSON types; names and descriptions are not in it."""
    model = catalog.models[experiment.model]
    copied = bool(model.inputs) and catalog.protocols[experiment.protocol].kind == "augment_then_split"
    return {
        "model": model.parts,
        "classes": list(catalog.cohorts[experiment.cohort].classes),
        "seed": experiment.seed,
        "implementation": revision_of(model),
        **({"copies": COPIES_REVISION} if copied else {}),
    }


def run_code_version(experiment: ExperimentSpec, catalog: Catalog) -> str:
    """Return the digest of a run's parts less the data and the machine: what is known when the graph is loaded."""
    return keys.code_version(stage_of(catalog.models[experiment.model]), code_spec(experiment, catalog))


def folds_digest(folds: "pd.DataFrame") -> str:
    """Return the digest of a table of folds, whatever order its rows are in."""
    return table_digest(folds[ROWS].sort_values(ROWS))


def run_parts(
    experiment: ExperimentSpec,
    catalog: Catalog,
    folds: "pd.DataFrame",
    feature_digest: str,
    metadata: "pd.DataFrame | None" = None,
    *,
    feature_rows: str | None = None,
    resolved: "Resolved | None" = None,
) -> dict[str, Any]:
    """Return, as JSON types, all that decides a run's predictions.

    Recordings outside the folds do not enter it; the feature set does not where the model reads no features, and of
    the manifest only what the model reads.

    Args:
        experiment: what is asked for.
        catalog: what its names mean.
        folds: of the experiment's cohort and protocol.
        feature_digest: of the feature set.
        metadata: of the recordings, where the model reads any.
        feature_rows: the store's data version of the rows of ``folds``.
        resolved: what the machine makes of the model's networks; None where it has none.

    Raises:
        TrainingDataError: the model reads the manifest, and ``metadata`` lack a recording or a column.
    """
    from cry_pipeline.training.run_inputs import metadata_digest

    model = catalog.models[experiment.model]
    inputs: dict[str, Any] = {
        "folds": folds_digest(folds),
        "features": feature_digest if model.inputs else None,
        "feature_rows": feature_rows if model.inputs else None,
        **metadata_digest(model.metadata, folds, metadata),
        **({"machine": resolved.parts} if resolved else {}),
    }
    return {**keys.code_parts(stage_of(model), code_spec(experiment, catalog)), "inputs": inputs}
