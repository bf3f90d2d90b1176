"""``reports/…``: evidence and features side by side, as tables and as the pages of one site.

Every report shows the evidence that there is, and lists what was not run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.asset_keys import RECORDINGS
from cry_pipeline.orchestration.conditions import when_stale
from cry_pipeline.orchestration.found import details_of, find_evidence, predictions_of
from cry_pipeline.orchestration.reporting import OWNERS, materialized, table
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.reports.page_keys import page_spec, site_spec

SHOWN = 12
"""Experiments of a cohort in a picture of the UI: the event log is never pruned, and the page shows all."""


@dataclass(frozen=True)
class Made:
    """A report as it was written: its digest, page and table, how many pages were made, and what the UI shows."""

    digest: str
    page: Path
    computed: int
    reused: int
    rows: pd.DataFrame | None = None
    plots: Mapping[str, bytes] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report: what it is called, what it is made of, and the function that writes it."""

    name: str
    write: Callable[[Workspace], Made]
    deps: Sequence[dg.AssetKey | list[str]]
    description: str
    revision: str
    kinds: set[str] = field(default_factory=lambda: {"html", "parquet"})
    despite_missing: bool = True

    @property
    def key(self) -> dg.AssetKey:
        """The key of the asset that the report is."""
        return dg.AssetKey(["reports", self.name])


def report_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all reports."""
    return [report_asset(report) for report in reports_of(catalog)]


def reports_of(catalog: Catalog) -> list[Report]:
    """Return all reports; the site, which leads to the others, is the last."""
    reports = [
        leaderboard(catalog),
        feature_sets(catalog),
        model_comparison(catalog),
        leakage_ladder(catalog),
        hybrid_ablation(catalog),
        experiments(catalog),
    ]
    return [*reports, site(catalog, [each.key for each in reports])]


def report_asset(report: Report) -> dg.AssetsDefinition:
    """Return the asset ``reports/<name>``."""

    @dg.asset(
        key=report.key,
        deps=report.deps,
        group_name="reports",
        kinds=report.kinds,
        owners=OWNERS,
        description=report.description,
        code_version=report.revision,
        automation_condition=when_stale(despite_missing=report.despite_missing),
    )
    def written(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        made = report.write(workspace)
        return materialized(
            context.asset_key,
            made.digest,
            computed=int(made.computed),
            reused=int(made.reused),
            rows=made.rows,
            plots=made.plots if made.computed else None,
            page=dg.MetadataValue.path(str(made.page)),
            **made.shown,
        )

    return written


def evidence_keys(names: Iterable[str], catalog: Catalog) -> list[list[str]]:
    """Return the asset keys of the evidence that a report waits for: not of the study's, which it shows if it is there.

    What depends on the study would be waited for where there is no study, and be made again by nobody.
    """
    study, _ = catalog.study_only()
    return [["evidence", name] for name in names if name not in study]


def leaderboard(catalog: Catalog) -> Report:
    """Return the report that compares all experiments of the catalog."""

    def write(workspace: Workspace) -> Made:
        from cry_pipeline.reports.figures.intervals import intervals
        from cry_pipeline.reports.leaderboard import arrange, write_leaderboard

        found, not_run = find_evidence(catalog, workspace)
        report = write_leaderboard(found, workspace.settings.reports, not_run)
        plots = {
            f"headline, {cohort}": intervals(list(group)[:SHOWN])
            for cohort, group in groupby(arrange(found), key=lambda each: each.provenance.cohort)
        }
        shown = {"leaderboard": table(report.table), "not_run": not_run}
        return Made(report.digest, report.page, not report.reused, report.reused, report.table, plots, shown)

    return Report(
        name="leaderboard",
        write=write,
        deps=evidence_keys(catalog.experiments, catalog),
        description="Evidence of all experiments; accuracy stands beside the majority rate, a clip-level result "
        "beside its donor-grouped twin.",
        revision=keys.code_version("leaderboard", page_spec("leaderboard")),
    )


def feature_sets(catalog: Catalog) -> Report:
    """Return the report that compares all feature sets of the catalog."""
    from cry_pipeline.reports.feature_sets import STAGE, feature_sets_spec

    def write(workspace: Workspace) -> Made:
        from cry_pipeline.reports.feature_sets import write_feature_sets

        report = write_feature_sets(
            catalog,
            {name: workspace.store(spec) for name, spec in catalog.feature_sets.items()},
            workspace.recordings(),
            workspace.roots(),
            find_evidence(catalog, workspace).evidence,
            workspace.settings.reports,
        )
        plots, shown = {"mel images": report.overview}, {"evidence": table(report.evidence)}
        shown["feature_sets"] = table(report.table)
        return Made(report.digest, report.page, not report.reused, report.reused, report.table, plots, shown)

    return Report(
        name="feature_sets",
        write=write,
        deps=[
            RECORDINGS,
            *(["features", name] for name in catalog.feature_sets),
            *evidence_keys(catalog.experiments, catalog),
        ],
        description="The same recordings in every feature set, what a second of audio takes in each, and each model's "
        "evidence by feature set.",
        revision=keys.code_version(STAGE, feature_sets_spec(catalog)),
    )


def model_comparison(catalog: Catalog) -> Report:
    """Return the report that holds each model against the best baseline on the same folds."""
    from cry_pipeline.reports.model_comparison import STAGE, comparison_names, comparison_spec, write_comparison

    return paired(
        "model_comparison",
        catalog,
        comparison_names(catalog),
        write_comparison,
        "Models on the same donor-grouped folds, each against the best one without a network, in pairs, with Holm's "
        "correction.",
        keys.code_version(STAGE, comparison_spec(catalog)),
    )


def leakage_ladder(catalog: Catalog) -> Report:
    """Return the report that shows what a leaking split adds to one model's figure."""
    from cry_pipeline.reports.leakage_ladder import STAGE, ladder_names, ladder_spec, write_ladder

    return paired(
        "leakage_ladder",
        catalog,
        ladder_names(catalog),
        write_ladder,
        "One model under three protocols, augment then split, clip stratified and donor grouped, with the step from "
        "each to the honest one.",
        keys.code_version(STAGE, ladder_spec(catalog)),
    )


def hybrid_ablation(catalog: Catalog) -> Report:
    """Return the report that compares the hybrid image with its single planes."""
    from cry_pipeline.reports.hybrid_ablation import STAGE, ablation_names, ablation_spec, write_ablation

    return paired(
        "hybrid_ablation",
        catalog,
        ablation_names(catalog),
        write_ablation,
        "The network on the hybrid image against the same on spectrogram, mel or MFCC only, in pairs, with Holm's "
        "correction.",
        keys.code_version(STAGE, ablation_spec(catalog)),
    )


def paired(
    name: str, catalog: Catalog, names: list[str], write: Callable[..., Any], description: str, revision: str
) -> Report:
    """Return a report that ``write`` makes of the out-of-fold predictions of experiments ``names``."""

    def written(workspace: Workspace) -> Made:
        found, _ = find_evidence(catalog, workspace)
        runs = predictions_of(names, found, catalog, workspace)
        report = write(
            catalog,
            [each for each in found if each.provenance.experiment in runs],
            runs,
            workspace.settings.reports,
        )
        shown = {name: table(report.table)}
        return Made(report.digest, report.page, not report.reused, report.reused, report.table, shown=shown)

    return Report(
        name=name,
        write=written,
        deps=evidence_keys(names, catalog),
        description=description,
        revision=revision,
    )


def experiments(catalog: Catalog) -> Report:
    """Return the report that holds one page for each experiment."""

    def write(workspace: Workspace) -> Made:
        from cry_pipeline.reports.experiment_page import write_experiments
        from cry_pipeline.reports.pages import EXPERIMENTS

        found, not_run = find_evidence(catalog, workspace)
        reports = workspace.settings.reports
        made, reused = write_experiments(
            catalog, found, lambda one: details_of(one, catalog, workspace), reports, workspace.workers
        )
        key = keys.key("experiment_page", page_spec("experiment_page"), sorted(one.digest for one in found))
        return Made(key, reports / EXPERIMENTS, made, reused, shown={"not_run": not_run})

    return Report(
        name="experiments",
        write=write,
        deps=evidence_keys(catalog.experiments, catalog),
        description="A page for each experiment: verdict, null test, shortcuts, confusions, calibration, learning "
        "curves, its surest mistakes, lineage.",
        revision=keys.code_version("experiment_page", page_spec("experiment_page")),
        kinds={"html"},
    )


def site(catalog: Catalog, others: Iterable[dg.AssetKey]) -> Report:
    """Return the report of the site's first page, which leads to all ``others``."""

    def write(workspace: Workspace) -> Made:
        from cry_pipeline.reports.site import write_site

        key, page, reused = write_site(catalog, *find_evidence(catalog, workspace), workspace.settings.reports)
        return Made(key, page, not reused, reused)

    return Report(
        name="site",
        write=write,
        deps=list(others),
        description="The site's first page: what was asked, what came out, what was not run. Open this one.",
        revision=keys.code_version("site", site_spec(catalog)),
        kinds={"html"},
        despite_missing=False,
    )
