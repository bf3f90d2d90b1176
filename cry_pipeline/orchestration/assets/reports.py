"""``reports/…``: evidence and features side by side, as tables and as the pages of one site.

Every report shows the evidence that there is, and lists what was not run.
"""

from collections.abc import Iterable
from itertools import groupby

import dagster as dg

from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.evaluation import REPORT_REVISION
from cry_pipeline.orchestration.automation import when_stale
from cry_pipeline.orchestration.found import details_of, find_evidence, predictions_of
from cry_pipeline.orchestration.reporting import OWNERS, materialized, table
from cry_pipeline.orchestration.resources import Workspace

SHOWN = 12
"""Experiments of a cohort in a picture of the UI: the event log is never pruned, and the page shows all."""


def report_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all reports."""
    return [
        leaderboard_asset(catalog),
        feature_sets_asset(catalog),
        leakage_ladder_asset(catalog),
        hybrid_ablation_asset(catalog),
        experiments_asset(catalog),
        site_asset(catalog),
    ]


def evidence_keys(names: Iterable[str]) -> list[list[str]]:
    """Return the asset keys of the experiments' evidence."""
    return [["evidence", name] for name in names]


def leaderboard_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that compares all experiments of the catalog."""

    @dg.asset(
        key=["reports", "leaderboard"],
        deps=evidence_keys(catalog.experiments),
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

        found, not_run = find_evidence(catalog, workspace)
        report = write_leaderboard(found, workspace.settings.reports, not_run)
        return materialized(
            context.asset_key,
            report.digest,
            computed=int(not report.reused),
            reused=int(report.reused),
            rows=report.table,
            plots={
                f"headline, {cohort}": intervals(list(group)[:SHOWN])
                for cohort, group in groupby(arrange(found), key=lambda each: each.provenance.cohort)
            },
            page=dg.MetadataValue.path(str(report.page)),
            leaderboard=table(report.table),
            not_run=not_run,
        )

    return leaderboard


def feature_sets_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that compares all feature sets of the catalog."""
    from cry_pipeline.evaluation.feature_sets import REVISION

    @dg.asset(
        key=["reports", "feature_sets"],
        deps=[
            *(["features", name] for name in catalog.feature_sets),
            *evidence_keys(catalog.experiments),
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
            find_evidence(catalog, workspace).evidence,
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


def leakage_ladder_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that shows what a leaking split adds to one model's figure."""
    from cry_pipeline.evaluation.leakage_ladder import REVISION, ladder_names

    names = ladder_names(catalog)

    @dg.asset(
        key=["reports", "leakage_ladder"],
        deps=evidence_keys(names),
        group_name="reports",
        kinds={"html", "parquet"},
        owners=OWNERS,
        description="One model under three protocols, augment then split, clip stratified and donor grouped, with the "
        "step from each to the honest one.",
        code_version=digest(spec=names, revision=REVISION),
        automation_condition=when_stale(despite_missing=True),
    )
    def leakage_ladder(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation.leakage_ladder import write_ladder

        found, _ = find_evidence(catalog, workspace)
        runs = predictions_of(names, found, catalog, workspace)
        report = write_ladder(catalog, found, runs, workspace.settings.reports)
        return materialized(
            context.asset_key,
            report.digest,
            computed=int(not report.reused),
            reused=int(report.reused),
            rows=report.table,
            page=dg.MetadataValue.path(str(report.page)),
            ladder=table(report.table),
        )

    return leakage_ladder


def hybrid_ablation_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that compares the hybrid image with its single planes."""
    from cry_pipeline.evaluation.hybrid_ablation import REVISION, ablation_names

    names = ablation_names(catalog)

    @dg.asset(
        key=["reports", "hybrid_ablation"],
        deps=evidence_keys(names),
        group_name="reports",
        kinds={"html", "parquet"},
        owners=OWNERS,
        description="The network on the hybrid image against the same on spectrogram, mel or MFCC only, in pairs, with "
        "Holm's correction.",
        code_version=digest(spec=names, revision=REVISION),
        automation_condition=when_stale(despite_missing=True),
    )
    def hybrid_ablation(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation.hybrid_ablation import write_ablation

        found, _ = find_evidence(catalog, workspace)
        runs = predictions_of(names, found, catalog, workspace)
        report = write_ablation(catalog, found, runs, workspace.settings.reports)
        return materialized(
            context.asset_key,
            report.digest,
            computed=int(not report.reused),
            reused=int(report.reused),
            rows=report.table,
            page=dg.MetadataValue.path(str(report.page)),
            ablation=table(report.table),
        )

    return hybrid_ablation


def experiments_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that holds one page for each experiment."""

    @dg.asset(
        key=["reports", "experiments"],
        deps=evidence_keys(catalog.experiments),
        group_name="reports",
        kinds={"html"},
        owners=OWNERS,
        description="A page for each experiment: verdict, null test, shortcuts, confusions, calibration, learning "
        "curves, its surest mistakes, lineage.",
        code_version=str(REPORT_REVISION),
        automation_condition=when_stale(despite_missing=True),
    )
    def experiments(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation.experiment_page import write_experiments
        from cry_pipeline.evaluation.pages import EXPERIMENTS

        found, not_run = find_evidence(catalog, workspace)
        reports = workspace.settings.reports
        made, reused = write_experiments(
            catalog, found, lambda one: details_of(one, catalog, workspace), reports, workspace.workers
        )
        return materialized(
            context.asset_key,
            digest(evidence=sorted(one.digest for one in found), revision=REPORT_REVISION),
            computed=made,
            reused=reused,
            pages=dg.MetadataValue.path(str(reports / EXPERIMENTS)),
            not_run=not_run,
        )

    return experiments


def site_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset of the site's first page, which leads to all others."""
    others = ("leaderboard", "feature_sets", "leakage_ladder", "hybrid_ablation", "experiments")

    @dg.asset(
        key=["reports", "site"],
        deps=[["reports", name] for name in others],
        group_name="reports",
        kinds={"html"},
        owners=OWNERS,
        description="The site's first page: what was asked, what came out, what was not run. Open this one.",
        code_version=str(REPORT_REVISION),
        automation_condition=when_stale(),
    )
    def site(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.evaluation.site import write_site

        key, page, reused = write_site(catalog, *find_evidence(catalog, workspace), workspace.settings.reports)
        return materialized(
            context.asset_key,
            key,
            computed=int(not reused),
            reused=int(reused),
            page=dg.MetadataValue.path(str(page)),
        )

    return site
