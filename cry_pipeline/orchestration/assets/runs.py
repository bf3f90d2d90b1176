"""One asset per experiment of the catalog: ``runs/<experiment>``."""

import dagster as dg

from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.orchestration.assets.manifests import RECORDINGS
from cry_pipeline.orchestration.automation import when_due
from cry_pipeline.orchestration.reporting import OWNERS, materialized
from cry_pipeline.orchestration.resources import Workspace


def run_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all experiments' runs."""
    return [run_asset(name, catalog) for name in catalog.experiments]


def run_asset(name: str, catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that trains the folds of experiment ``name``.

    Its code version leaves out the feature set's parameters: these reach it as the data version of its
    features, so that a changed parameter makes the feature set stale and nothing else until it is materialized.
    """
    from cry_pipeline.training.registry import revision_of

    experiment = catalog.experiments[name]
    model = catalog.models[experiment.model]
    features = [["features", experiment.feature_set]] if model.inputs else []
    manifest = [RECORDINGS] if model.metadata else []
    spec = catalog.feature_sets[experiment.feature_set]

    @dg.asset(
        key=["runs", name],
        deps=[["folds", experiment.folds_name], *features, *manifest],
        group_name="runs",
        kinds={"pytorch" if model.is_network else "scikitlearn"},
        owners=OWNERS,
        description=f"{experiment.cohort} × {experiment.feature_set} × {experiment.model} × {experiment.protocol}. "
        f"{model.description}",
        code_version=digest(spec=[model.digest, experiment.digest], revision=revision_of(model)),
        automation_condition=when_due(),
        metadata=model.model_dump(mode="json", exclude={"description"}),
    )
    def run(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.training.runs import train_run

        folds, store = workspace.folds(experiment.folds_name), workspace.store(spec)
        # The parts noted are the parts read, whatever is written meanwhile.
        snapshot = store.snapshot()
        result = train_run(
            name,
            catalog,
            folds,
            store.at(snapshot).read if model.inputs else None,
            feature_digest=store.digest,
            runs=workspace.settings.runs,
            metadata=workspace.recordings() if model.metadata else None,
            settings=workspace.training(),
            feature_parts=snapshot.parts if model.inputs else (),
        )
        return materialized(
            context.asset_key,
            result.digest,
            computed=result.computed,
            reused=result.reused,
            folder=dg.MetadataValue.path(str(result.folder)),
            feature_set_digest=store.digest,
        )

    return run
