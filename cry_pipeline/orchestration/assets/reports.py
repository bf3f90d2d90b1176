"""``reports/leaderboard``: all evidence side by side, as a table and a page."""

import dagster as dg

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation import REPORT_REVISION
from cry_pipeline.orchestration.assets.evidence import provenance_of
from cry_pipeline.orchestration.automation import when_stale
from cry_pipeline.orchestration.reporting import OWNERS, materialized, table
from cry_pipeline.orchestration.resources import Workspace


def report_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all reports."""
    return [leaderboard_asset(catalog)]


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
        automation_condition=when_stale(),
    )
    def leaderboard(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation.evidence import evidence_digest, evidence_folder, read_evidence
        from cry_pipeline.evaluation.plots import intervals
        from cry_pipeline.evaluation.report import arrange, write_leaderboard

        settings, found = workspace.settings, []
        for name, experiment in catalog.experiments.items():
            cohort = catalog.cohorts[experiment.cohort]
            key = evidence_digest(provenance_of(name, catalog, workspace), cohort.classes, cohort.target)
            found.append(read_evidence(evidence_folder(settings.evidence, name, key)))
        report = write_leaderboard(found, settings.reports)
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
