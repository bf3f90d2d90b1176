"""``reports/leaderboard`` and ``reports/feature_sets``: evidence and features side by side, as tables and pages."""

from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation import REPORT_REVISION
from cry_pipeline.orchestration.assets.evidence import provenance_of
from cry_pipeline.orchestration.automation import when_stale
from cry_pipeline.orchestration.reporting import OWNERS, materialized, table
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.evaluation.records import Evidence


def report_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all reports."""
    return [leaderboard_asset(catalog), feature_sets_asset(catalog)]


def all_evidence(catalog: Catalog, workspace: Workspace) -> "list[Evidence]":
    """Return the evidence there is, as the folds and parameters of now make it; an experiment not run has none."""
    from cry_pipeline.evaluation.evidence import FILE, evidence_digest, evidence_folder, read_evidence

    found = []
    for name, experiment in catalog.experiments.items():
        if not workspace.folds_path(experiment.folds_name).exists():
            continue
        cohort = catalog.cohorts[experiment.cohort]
        key = evidence_digest(provenance_of(name, catalog, workspace), cohort.classes, cohort.target)
        folder = evidence_folder(workspace.settings.evidence, name, key)
        if (folder / FILE).exists():
            found.append(read_evidence(folder))
    return found


def leaderboard_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that compares all experiments of the catalog."""

    @dg.asset(
        key=["reports", "leaderboard"],
        deps=[["evidence", name] for name in catalog.experiments],
        group_name="reports",
        kinds={"html", "parquet"},
        owners=OWNERS,
        description="Evidence of all experiments; accuracy stands beside the majority rate, a clip-level result "
        "beside its donor-grouped twin.",
        code_version=str(REPORT_REVISION),
        automation_condition=when_stale(despite_missing=True),
    )
    def leaderboard(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation.plots import intervals
        from cry_pipeline.evaluation.report import arrange, write_leaderboard

        found = all_evidence(catalog, workspace)
        report = write_leaderboard(found, workspace.settings.reports)
        return materialized(
            context.asset_key,
            report.digest,
            computed=int(not report.reused),
            reused=int(report.reused),
            rows=report.table,
            plots={"headline": intervals(arrange(found))},
            page=dg.MetadataValue.path(str(report.page)),
            leaderboard=table(report.table),
        )

    return leaderboard


def feature_sets_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that compares all feature sets of the catalog."""
    from cry_pipeline.evaluation.feature_sets import REVISION

    @dg.asset(
        key=["reports", "feature_sets"],
        deps=[
            *(["features", name] for name in catalog.feature_sets),
            *(["evidence", name] for name in catalog.experiments),
        ],
        group_name="reports",
        kinds={"html", "parquet"},
        owners=OWNERS,
        description="The same recordings in every feature set, what a second of audio takes in each, and each model's "
        "evidence by feature set.",
        code_version=str(REVISION),
        automation_condition=when_stale(despite_missing=True),
    )
    def feature_sets(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation.feature_sets import write_feature_sets

        report = write_feature_sets(
            catalog,
            {name: workspace.store(spec) for name, spec in catalog.feature_sets.items()},
            workspace.recordings(),
            workspace.roots(),
            all_evidence(catalog, workspace),
            workspace.settings.reports,
        )
        return materialized(
            context.asset_key,
            report.digest,
            computed=int(not report.reused),
            reused=int(report.reused),
            rows=report.table,
            plots={"mel images": report.overview},
            page=dg.MetadataValue.path(str(report.page)),
            feature_sets=table(report.table),
            evidence=table(report.evidence),
        )

    return feature_sets
