"""One asset per experiment: ``evidence/<experiment>``, what its out-of-fold predictions show."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.asset_keys import evidence_key, experiment_tags, group_of, run_key
from cry_pipeline.orchestration.conditions import when_stale
from cry_pipeline.orchestration.current import Now, probe_experiments
from cry_pipeline.orchestration.reporting import OWNERS, materialized, site_page
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.values import values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from cry_pipeline.evaluation.findings import Shortcut
    from cry_pipeline.evaluation.metrics import Floats
    from cry_pipeline.evaluation.records import Evidence, Provenance


def evidence_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all experiments' evidence."""
    return [evidence_asset(name, catalog) for name in catalog.experiments]


def _of_recordings_in(folds: "pd.DataFrame", predictions: "pd.DataFrame") -> "pd.DataFrame":
    """Return the predictions of the recordings in ``folds``: a probe hears nothing, and leaves none out for that."""
    return predictions[predictions["recording_id"].isin(folds["recording_id"])].reset_index(drop=True)


def _statistics(name: str, catalog: Catalog, workspace: Workspace, folds: "pd.DataFrame") -> "pd.DataFrame | None":
    """Return the pooled statistics of the recordings in ``folds``; None where the model reads no features."""
    import pandas as pd

    experiment = catalog.experiments[name]
    if not catalog.models[experiment.model].inputs:
        return None
    store, ids = workspace.store(catalog.feature_sets[experiment.feature_set]), sorted(set(folds["recording_id"]))
    # Augmented copies have no row of their own.
    kept = sorted(set(ids) - set(store.missing(ids)))
    return pd.DataFrame(store.read(kept, ("statistics",)).arrays["statistics"], index=pd.Index(kept))


def _dealt(
    name: str, catalog: Catalog, workspace: Workspace, folds: "pd.DataFrame", provenance: "Provenance"
) -> "Callable[[], dict[str, Floats]] | None":
    """Return what trains the model on dealt labels, or finds that it was; None where the null is conditional."""
    if not provenance.null:
        return None
    from cry_pipeline.evaluation import retrained

    experiment, settings, engine = catalog.experiments[name], workspace.settings, workspace.spread()
    spec, protocol = catalog.models[experiment.model], catalog.protocols[experiment.protocol]
    classes = catalog.cohorts[experiment.cohort].classes

    def train() -> "dict[str, Floats]":
        cohort = retrained.Cohort.of(folds, classes)
        deals = retrained.deal(cohort, protocol, retrained.DEALS, engine=engine)
        values = values_of(name, catalog, workspace, folds)
        return retrained.retrain(spec, values, deals, classes=len(classes), seed=experiment.seed, engine=engine)

    return lambda: retrained.kept_null(name, provenance.null, provenance.run_digest, settings.nulls, train)


def evidence_of(name: str, catalog: Catalog, workspace: Workspace) -> "tuple[Evidence, bool]":
    """Return the evidence of the run that there is of experiment ``name``, and whether it was there before."""
    from cry_pipeline.evaluation.evidence import evidence_digest, evidence_of_run, kept_evidence
    from cry_pipeline.evaluation.told import told_of
    from cry_pipeline.training.runs import read_run

    settings, now = workspace.settings, Now(catalog, workspace)
    (_, folds), provenance = now.trained(name), now.provenance_of(name)
    cohort = catalog.cohorts[catalog.experiments[name].cohort]
    # Before predictions of the run and of its probes are read, which takes longer than all else here.
    kept = kept_evidence(settings.evidence, name, evidence_digest(provenance, cohort.classes, cohort.target))
    if kept is not None:
        return kept, True
    shortcuts: dict[Shortcut, pd.DataFrame] = {
        shortcut: _of_recordings_in(folds, read_run(probe, run_digest, folds, settings.runs))
        for shortcut, (probe, run_digest) in provenance.shortcuts.items()
    }
    return evidence_of_run(
        read_run(name, provenance.run_digest, folds, settings.runs),
        cohort.classes,
        cohort.target,
        folds=folds,
        provenance=provenance,
        root=settings.evidence,
        shortcuts=shortcuts,
        statistics=_statistics(name, catalog, workspace, folds),
        told=told_of(now.recordings(), folds),
        dealt=_dealt(name, catalog, workspace, folds, provenance),
    )


def _about(evidence: "Evidence") -> dict[str, Any]:
    """Return what the asset's metadata say of evidence: in words first, then as numbers that Dagster can plot."""
    from cry_pipeline.reports.rows import in_words

    headline = evidence.headline
    return {
        "score": in_words(headline.value, headline.low, headline.high, evidence.headline_metric),
        # What else is tried on the cohort may not be there yet.
        "verdict": f"{evidence.sentence} (by itself; corrected for all that were tried: reports/leaderboard)",
        "recordings": evidence.recordings,
        "donors": evidence.donors,
        "headline": headline.value,
        "low": headline.low,
        "high": headline.high,
        "p_value": evidence.null.p_value,
        "chance": evidence.chance,
        "slope": evidence.calibration.slope.value,
        "probes_not_run": list(evidence.probes_not_run),
        "headline_metric": evidence.headline_metric,
        "accuracy": evidence.metrics["accuracy"].value,
        "majority_rate": evidence.majority_rate,
    }


def _pictures(evidence: "Evidence") -> dict[str, bytes]:
    from cry_pipeline.reports.figures import intervals as plots

    pictures = {"confusion matrix": plots.confusion_matrix(evidence), "recall": plots.class_recall(evidence)}
    return pictures | ({"ROC": plots.roc(evidence)} if evidence.roc else {})


def evidence_asset(name: str, catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that holds metrics, intervals and verdict of experiment ``name``."""
    from cry_pipeline.evaluation.evidence import STAGE, evidence_folder, evidence_spec

    experiment = catalog.experiments[name]
    cohort, protocol = catalog.cohorts[experiment.cohort], catalog.protocols[experiment.protocol]
    probes = probe_experiments(name, catalog)
    spec = evidence_spec(cohort.classes, cohort.target)

    @dg.asset(
        key=evidence_key(name, catalog),
        # Not on the folds: these reach it through its run. Evidence of folds that no run is of yet cannot be had.
        deps=[run_key(run, catalog) for run in sorted({name, *probes.values()})],
        group_name=group_of("evidence", name, catalog),
        kinds={"scikitlearn"},
        owners=OWNERS,
        tags=experiment_tags(name, catalog),
        description=f"{experiment.model} on {experiment.feature_set}, {experiment.cohort}, {experiment.protocol}: what "
        "its out-of-fold predictions show. Intervals over donors, null test, probes of shortcuts, verdict.",
        code_version=keys.code_version(STAGE, {**spec, "grouped": protocol.keeps_donors_apart, "probes": probes}),
        automation_condition=None if experiment.tier == "study" else when_stale(needs=[run_key(name, catalog)]),
    )
    def evidence(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        made, reused = evidence_of(name, catalog, workspace)
        return materialized(
            context,
            made.digest,
            **_about(made),
            page=site_page(name, workspace),
            lies_in=evidence_folder(workspace.settings.evidence, name, made.digest),
            computed=int(not reused),
            reused=int(reused),
            plots=None if reused else _pictures(made),
        )

    return evidence
