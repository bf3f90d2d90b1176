"""``reports/of_study``: what ``make study`` ends with, so that nothing of every day depends on what only it makes."""

import dagster as dg

from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.orchestration.asset_keys import CHAMPION, OF_STUDY, STUDY, evidence_key, tags
from cry_pipeline.orchestration.assets.champion import candidates_of, promoted
from cry_pipeline.orchestration.assets.reports import reports_of
from cry_pipeline.orchestration.reporting import OWNERS, materialized, page_url
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.reports.pages import INDEX


def study_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the study's last asset; none where the catalog has no experiment of the study."""
    studied, _ = catalog.study_only()
    return [study_asset(catalog, sorted(studied))] if studied else []


def study_asset(catalog: Catalog, studied: list[str]) -> dg.AssetsDefinition:
    """Return the asset that makes reports and champion once more, when the study's evidence is there.

    The reports and the champion of every day do not depend on the study: where it has not been run they would be taken
    for missing an input, for ever.
    """
    reports = reports_of(catalog)
    champions = [CHAMPION] if catalog.champion.cry else []

    @dg.asset(
        key=OF_STUDY,
        deps=[*(evidence_key(name, catalog) for name in studied), *(report.key for report in reports), *champions],
        group_name=STUDY,
        kinds={"html", "parquet"},
        owners=OWNERS,
        tags=tags(tier=STUDY),
        description="Last of the study: all reports, and the champion, again, now with the study's evidence.",
        code_version=digest(reports={report.name: report.revision for report in reports}),
    )
    def of_study(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        champion = promoted(candidates_of(catalog, workspace), catalog, workspace)[1] if champions else None
        made = {report.name: report.write(workspace) for report in reports}  # one of which shows the champion
        return materialized(
            context,
            digest(reports={name: report.digest for name, report in made.items()}, champion=champion),
            computed=sum(int(report.computed) for report in made.values()),
            reused=sum(int(report.reused) for report in made.values()),
            page=page_url(INDEX, workspace),
        )

    return of_study
