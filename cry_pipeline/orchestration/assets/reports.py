"""``reports/…``: evidence and features side by side, as tables and as the pages of one site.

Every report shows the evidence that there is, and lists what was not run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.asset_keys import CHAMPION, JUDGEMENTS, QUARANTINE, RECORDINGS, TRIAGE, evidence_key
from cry_pipeline.orchestration.conditions import when_stale
from cry_pipeline.orchestration.found import details_of, find_evidence, predictions_of
from cry_pipeline.orchestration.kept import kept_of
from cry_pipeline.orchestration.reporting import OWNERS, materialized, page_url, table
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.shown import champion_of, confused_of, donations_of, how_much_of, stored_of, tables_of
from cry_pipeline.reports.champion_page import CHAMPION_PAGE
from cry_pipeline.reports.checklist import CHECKLIST_PAGE
from cry_pipeline.reports.compare import COMPARE
from cry_pipeline.reports.confusers_page import CONFUSERS_PAGE
from cry_pipeline.reports.contradicted_labels import CONTRADICTED_LABELS
from cry_pipeline.reports.donations_page import DONATIONS_PAGE
from cry_pipeline.reports.feature_sets import FEATURE_SETS_REPORT
from cry_pipeline.reports.flow_page import FLOW_PAGE
from cry_pipeline.reports.hybrid_ablation import HYBRID_ABLATION
from cry_pipeline.reports.leaderboard import LEADERBOARD
from cry_pipeline.reports.leakage_ladder import LEAKAGE_LADDER
from cry_pipeline.reports.live_page import LIVE_PAGE
from cry_pipeline.reports.manifest_page import MANIFEST_PAGE
from cry_pipeline.reports.model_comparison import MODEL_COMPARISON
from cry_pipeline.reports.page_keys import page_spec
from cry_pipeline.reports.power_page import HOW_MUCH_DATA
from cry_pipeline.reports.relistening import RELISTENING_PAGE
from cry_pipeline.reports.report import Features, Material, Reads, Report, Written, only
from cry_pipeline.reports.rows import GLANCED, glance
from cry_pipeline.reports.site import SITE
from cry_pipeline.reports.store_page import STORE_PAGE
from cry_pipeline.tables import Schema

REPORTS = (
    LEADERBOARD,
    FEATURE_SETS_REPORT,
    MODEL_COMPARISON,
    LEAKAGE_LADDER,
    HYBRID_ABLATION,
    HOW_MUCH_DATA,
    COMPARE,
    CHAMPION_PAGE,
    MANIFEST_PAGE,
    DONATIONS_PAGE,
    LIVE_PAGE,
    STORE_PAGE,
    RELISTENING_PAGE,
    CONTRADICTED_LABELS,
    CONFUSERS_PAGE,
    FLOW_PAGE,
    CHECKLIST_PAGE,
)
"""All reports but the pages of experiments, and the site's first page, which leads to all."""


@dataclass(frozen=True, kw_only=True)
class ReportAsset:
    """One asset of reports: what it is called, what it is made of, and the function that writes it."""

    name: str
    write: Callable[[Workspace], Written]
    deps: Sequence[dg.AssetKey | list[str]]
    description: str
    revision: str
    kinds: frozenset[str] = frozenset({"html"})
    despite_missing: bool = True
    schema: Schema | None = None
    glance: Sequence[str] = ()
    glanced: int = GLANCED

    @property
    def key(self) -> dg.AssetKey:
        """The key of the asset that the report is."""
        return dg.AssetKey(["reports", self.name])


def report_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all reports."""
    return [report_asset(report) for report in reports_of(catalog)]


def reports_of(catalog: Catalog) -> list[ReportAsset]:
    """Return what the assets of all reports are made from; the site, which leads to the others, is the last."""
    reports = {report.name: asset_of(report, catalog) for report in REPORTS}
    pages = experiments(catalog)
    # Of the others the site shows nothing, but of the champion that a challenger is refused.
    evident = [reports[report.name].key for report in REPORTS if "evidence" in report.reads]
    champion = [CHAMPION] if catalog.champion.cry else []
    return [*reports.values(), pages, asset_of(SITE, catalog, [*evident, pages.key, *champion])]


def report_asset(report: ReportAsset) -> dg.AssetsDefinition:
    """Return the asset ``reports/<name>``."""

    @dg.asset(
        key=report.key,
        deps=report.deps,
        group_name="reports",
        kinds=set(report.kinds),
        owners=OWNERS,
        description=report.description,
        code_version=report.revision,
        automation_condition=when_stale(despite_missing=report.despite_missing),
    )
    def written(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        made = report.write(workspace)
        tables = (
            {report.name: glance(made.table, *report.glance, most=report.glanced)} if made.table is not None else {}
        )
        return materialized(
            context,
            made.digest,
            page=page_url(_front(made.page, workspace), workspace),
            computed=made.computed,
            reused=made.reused,
            rows=made.table,
            schema=report.schema,
            lies_in=made.page,
            plots=made.plots,
            file=dg.MetadataValue.path(str(made.page)),
            **_shown({**tables, **made.beside}),
        )

    return written


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: table(value) if isinstance(value, pd.DataFrame) else value for name, value in values.items()}


def _front(page: Path, workspace: Workspace) -> str:
    """Return the path of a page in the folder of reports; the site's first page for a folder of pages."""
    from cry_pipeline.reports.pages import INDEX

    return page.relative_to(workspace.settings.reports).as_posix() if page.suffix == ".html" else INDEX


def asset_of(report: Report, catalog: Catalog, others: Sequence[dg.AssetKey] = ()) -> ReportAsset:
    """Return what the asset of ``report`` is made from; of one that leads to ``others`` these are all it waits for."""
    return ReportAsset(
        name=report.name,
        write=lambda workspace: report.write(material_of(report, catalog, workspace), workspace.settings.reports),
        deps=others or deps_of(report, catalog),
        description=report.description,
        revision=report.code_version(catalog),
        kinds=frozenset({"html", "parquet"} if report.schema else {"html"}),
        # Evidence is shown as far as there is any; of what else a page shows there is nothing without it.
        despite_missing="evidence" in report.reads and not others,
        schema=report.schema,
        glance=report.glance,
        glanced=report.glanced,
    )


def deps_of(report: Report, catalog: Catalog) -> list[dg.AssetKey | list[str]]:
    """Return the asset keys of what ``report`` is made of."""
    features: list[dg.AssetKey | list[str]] = [RECORDINGS, *(["features", name] for name in catalog.feature_sets)]
    names = report.compared(catalog) if report.compared else catalog.experiments
    made_of: dict[Reads, list] = {
        "features": features,
        "stored": features,
        "tables": [RECORDINGS, QUARANTINE],
        "donations": [TRIAGE, JUDGEMENTS, *features[1:]],
        "champion": [CHAMPION] if catalog.champion.cry else [],
        "evidence": evidence_keys(names, catalog),
        "live": [RECORDINGS, JUDGEMENTS, TRIAGE, *([CHAMPION] if catalog.champion.cry else [])],
        "confused": [CHAMPION] if catalog.champion.cry else [],
        "how_much": [["reports", HOW_MUCH_DATA.name]],
        "listened": [JUDGEMENTS, RECORDINGS, *([CHAMPION] if catalog.champion.cry else [])],
    }
    return [key for what, keys_of in made_of.items() if what in report.reads for key in keys_of]


def evidence_keys(names: Iterable[str], catalog: Catalog) -> list[dg.AssetKey]:
    """Return the asset keys of the evidence that a report waits for: not of the study's, which it shows if it is there.

    What depends on the study would be waited for where there is no study, and be made again by nobody.
    """
    study, _ = catalog.study_only()
    return [evidence_key(name, catalog) for name in names if name not in study]


def material_of(report: Report, catalog: Catalog, workspace: Workspace) -> Material:
    """Return what ``report`` is made of; a run that it compares and that is damaged is left out."""
    material = Material(catalog, [])
    if not {"evidence", "champion"}.isdisjoint(report.reads):
        # What is compared, or held against its earlier runs, has to be of the same recordings.
        found = find_evidence(catalog, workspace, of_before=not (report.compared or "kept" in report.reads))
        material = replace(material, evidence=found.evidence, not_run=found.not_run)
    if report.compared:
        runs = predictions_of(report.compared(catalog), material.evidence, catalog, workspace)
        material = replace(only(material, runs), runs=runs)
    if "kept" in report.reads:
        material = replace(material, kept=kept_of(material.evidence, catalog, workspace))
    if "features" in report.reads:
        stores = {name: workspace.store(spec) for name, spec in catalog.feature_sets.items()}
        material = replace(material, features=Features(stores, workspace.recordings(), workspace.roots()))
    if "tables" in report.reads:
        material = replace(material, tables=tables_of(workspace))
    if "donations" in report.reads:
        material = replace(material, donations=donations_of(catalog, workspace))
    if "stored" in report.reads:
        material = replace(material, stored=stored_of(catalog, workspace))
    if "champion" in report.reads:
        material = replace(material, champion=champion_of(workspace))
    if "confused" in report.reads:
        material = replace(material, confused=confused_of(workspace))
    if "live" in report.reads:
        from cry_pipeline.donations.live import happened

        material = replace(material, live=happened(workspace.settings, catalog, workspace.recordings()))
    if "listened" in report.reads:
        from cry_pipeline.donations.relistening import listened

        material = replace(material, listened=listened(workspace.settings, catalog))
    if "how_much" in report.reads:
        material = replace(material, how_much=how_much_of(workspace))
    return material


def experiments(catalog: Catalog) -> ReportAsset:
    """Return what the asset of the experiments' pages is made from: one page for each."""
    stage = "experiment_page"

    def write(workspace: Workspace) -> Written:
        from cry_pipeline.reports.experiment_page import write_experiments
        from cry_pipeline.reports.pages import EXPERIMENTS

        evidence, not_run = find_evidence(catalog, workspace, of_before=True)
        folder = workspace.settings.reports
        made, reused = write_experiments(
            catalog, evidence, lambda result: details_of(result, catalog, workspace), folder, workspace.workers
        )
        key = keys.key(stage, page_spec(stage), sorted(result.standing for result in evidence))
        return Written(key, folder / EXPERIMENTS, made, reused, beside={"not_run": not_run})

    return ReportAsset(
        name="experiments",
        write=write,
        deps=evidence_keys(catalog.experiments, catalog),
        description="A page for each experiment: verdict, null test, shortcuts, confusions, calibration, learning "
        "curves, its surest mistakes, lineage.",
        revision=keys.code_version(stage, page_spec(stage)),
    )
