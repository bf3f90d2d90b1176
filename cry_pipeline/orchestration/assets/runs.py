"""One asset per experiment of the catalog: ``runs/<experiment>``."""

from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.ahead import trained_ahead
from cry_pipeline.orchestration.asset_keys import experiment_tags, group_of, run_key
from cry_pipeline.orchestration.reporting import OWNERS, materialized, site_page
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.retraining import when_due
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.features.store.store import FeatureStore
    from cry_pipeline.training.run_inputs import RunFeatures
    from cry_pipeline.training.runs import RunResult


def run_assets(catalog: Catalog, settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets of all experiments' runs; those of every day are trained by themselves when they are due."""
    due = {name: when_due(name, catalog, settings) for name, of in catalog.experiments.items() if of.tier != "study"}
    return [run_asset(name, catalog, due.get(name)) for name in catalog.experiments]


def run_asset(name: str, catalog: Catalog, due: dg.AutomationCondition | None = None) -> dg.AssetsDefinition:
    """Return the asset that trains the folds of experiment ``name``.

    Its code version leaves out the feature set's parameters: these reach it as the data version of its
    features, so that a changed parameter makes the feature set stale and nothing else until it is materialized.
    What the manifest says of its recordings reaches it as the data version of its folds, which is of its cohort alone:
    a recording that comes into no cohort makes no run stale.
    """
    from cry_pipeline.training.run_keys import run_code_version

    experiment = catalog.experiments[name]
    model = catalog.models[experiment.model]
    features = [["features", experiment.feature_set]] if model.inputs else []

    @dg.asset(
        key=run_key(name, catalog),
        deps=[["folds", experiment.folds_name], *features],
        group_name=group_of("runs", name, catalog),
        kinds={"pytorch" if model.is_network else "scikitlearn"},
        owners=OWNERS,
        tags=experiment_tags(name, catalog),
        description=f"{experiment.model} on {experiment.feature_set}, {experiment.cohort}, {experiment.protocol}: "
        f"{model.description}",
        code_version=run_code_version(experiment, catalog),
        automation_condition=due,
        metadata=model.model_dump(mode="json", exclude={"description"}),
    )
    def run(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.training.fold_folders import seconds_of_folds

        result, feature_digest = trained_ahead(
            name, lambda name: train(name, catalog, workspace), context, catalog, workspace
        )
        return materialized(
            context,
            result.digest,
            recordings=result.predictions["recording_id"].nunique(),
            donors=result.predictions["donor"].nunique(),
            folds=result.computed + result.reused,
            training_s=seconds_of_folds(result.folder),
            parameters=model.model_dump(mode="json", exclude={"description"}) | {"seed": experiment.seed},
            evidence=site_page(name, workspace),
            lies_in=result.folder,
            computed=result.computed,
            reused=result.reused,
            folder=dg.MetadataValue.path(str(result.folder)),
            feature_set_digest=feature_digest,
            machine=result.reference.machine,
            left_out=result.reference.left_out,
        )

    return run


def train(name: str, catalog: Catalog, workspace: Workspace) -> "tuple[RunResult, str]":
    """Train what is missing of experiment ``name``; return its run and the digest of its feature set."""
    from cry_pipeline.features.kinds import feature_set_digest
    from cry_pipeline.training.run_inputs import RunFeatures
    from cry_pipeline.training.runs import train_run

    experiment = catalog.experiments[name]
    model, feature_set = catalog.models[experiment.model], catalog.feature_sets[experiment.feature_set]
    folds, feature_digest = workspace.folds(experiment.folds_name), feature_set_digest(feature_set)
    features = RunFeatures(feature_digest)
    if model.inputs:
        features = features_for(workspace.store(feature_set), folds, feature_digest)
    result = train_run(
        name,
        catalog,
        folds,
        features,
        runs=workspace.settings.runs,
        metadata=workspace.recordings() if model.metadata else None,
        settings=workspace.training(),
    )
    return result, feature_digest


def features_for(store: "FeatureStore", folds: "pd.DataFrame", feature_digest: str) -> "RunFeatures":
    """Return what ``train_run`` is told of the features of the recordings in ``folds``."""
    from cry_pipeline.folds.copies import recordings_of
    from cry_pipeline.training.run_inputs import RunFeatures

    # The parts noted are the parts read, whatever is written meanwhile.
    snapshot, left_out = store.snapshot(), store.failures()
    ids = [recording for recording in recordings_of(folds["recording_id"]) if recording not in left_out]
    # Of these recordings alone: it may go to other machines.
    read = store.of(dict(store.keys(ids))).at(snapshot).read
    return RunFeatures(feature_digest, read, rows=store.data_version(ids), parts=snapshot.parts, left_out=left_out)
