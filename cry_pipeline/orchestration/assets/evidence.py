"""One asset per experiment: ``evidence/<experiment>``, what its out-of-fold predictions show."""

from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.orchestration.automation import when_stale
from cry_pipeline.orchestration.reporting import OWNERS, materialized
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.evaluation.records import Provenance


def evidence_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all experiments' evidence."""
    return [evidence_asset(name, catalog) for name in catalog.experiments]


def provenance_of(name: str, catalog: Catalog, workspace: Workspace) -> "Provenance":
    """Return what the evidence of experiment ``name`` rests on, given the folds and parameters of now."""
    from cry_pipeline.evaluation.records import Provenance
    from cry_pipeline.features.kinds import feature_set_digest
    from cry_pipeline.training.runs import run_digest

    experiment, recordings = catalog.experiments[name], workspace.recordings()
    folds = workspace.folds(experiment.folds_name)
    feature_digest = feature_set_digest(catalog.feature_sets[experiment.feature_set])
    tested = recordings["recording_id"].isin(folds["recording_id"])
    return Provenance.of(
        name,
        catalog,
        run_digest=run_digest(experiment, catalog, folds, feature_digest, recordings),
        feature_digest=feature_digest,
        sources=tuple(sorted(set(recordings.loc[tested, "source"]))),
    )


def evidence_asset(name: str, catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that holds metrics, intervals and verdict of experiment ``name``."""
    from cry_pipeline.evaluation.evidence import REVISION

    experiment = catalog.experiments[name]
    cohort = catalog.cohorts[experiment.cohort]
    protocol = catalog.protocols[experiment.protocol]

    @dg.asset(
        key=["evidence", name],
        deps=[["runs", name], ["folds", experiment.folds_name]],
        group_name="evidence",
        kinds={"scikitlearn"},
        owners=OWNERS,
        description=f"What the out-of-fold predictions of {name} show, with 95 % intervals over donors.",
        code_version=digest(spec=[list(cohort.classes), cohort.target, protocol.grouped], revision=REVISION),
        automation_condition=when_stale(),
    )
    def evidence(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation import plots
        from cry_pipeline.evaluation.evidence import evidence_of_run
        from cry_pipeline.training.runs import read_run

        settings, folds = workspace.settings, workspace.folds(experiment.folds_name)
        provenance = provenance_of(name, catalog, workspace)
        found, reused = evidence_of_run(
            read_run(name, provenance.run_digest, folds, settings.runs),
            cohort.classes,
            cohort.target,
            folds=folds,
            provenance=provenance,
            root=settings.evidence,
        )
        pictures = {"confusion matrix": plots.confusion_matrix(found), "recall": plots.class_recall(found)}
        if found.roc:
            pictures["ROC"] = plots.roc(found)
        return materialized(
            context.asset_key,
            found.digest,
            computed=int(not reused),
            reused=int(reused),
            plots=pictures,
            verdict=found.sentence,
            headline=found.headline.value,
            headline_metric=found.headline_metric,
            accuracy=found.metrics["accuracy"].value,
            majority_rate=found.majority_rate,
        )

    return evidence
