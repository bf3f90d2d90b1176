"""One asset per cohort and protocol that an experiment uses: ``folds/<cohort>_<protocol>``."""

from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.artefacts import table_digest
from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.folds.schemas import FOLDS
from cry_pipeline.folds.splitting import folds_code_version
from cry_pipeline.orchestration.asset_keys import RECORDINGS, STUDY, tags
from cry_pipeline.orchestration.reporting import OWNERS, materialized, table
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    import pandas as pd


def folds_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all pairs of cohort and protocol that experiments name."""
    pairs = {(experiment.cohort, experiment.protocol): experiment for experiment in catalog.experiments.values()}
    return [folds_asset(experiment.folds_name, *pair, catalog) for pair, experiment in sorted(pairs.items())]


def folds_asset(name: str, cohort: str, protocol: str, catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that says which recording of the cohort is tested in which fold."""
    cohort_spec, protocol_spec = catalog.cohorts[cohort], catalog.protocols[protocol]
    _, of_study = catalog.study_only()
    tier = STUDY if name in of_study else "default"
    read = _columns_read(name, catalog)

    @dg.asset(
        key=["folds", name],
        deps=[RECORDINGS],
        group_name=STUDY if tier == STUDY else "folds",
        kinds={"parquet", "scikitlearn"},
        owners=OWNERS,
        tags=tags(tier=tier, cohort=cohort, protocol=protocol),
        description=f"{cohort_spec.description} {protocol_spec.description}",
        code_version=folds_code_version(protocol_spec, cohort_spec),
    )
    def folds(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.corpus.cohorts import cohort_digest, select_cohort
        from cry_pipeline.folds.splitting import absent_classes, keep_folds, summarise_folds

        recordings = workspace.recordings()
        rows, reused = keep_folds(select_cohort(recordings, cohort_spec), protocol_spec, workspace.folds_path(name))
        return materialized(
            context,
            # Of all that is said of the cohort, too: by the folds alone it reaches the runs. These hang on their own
            # cohort and on how features are made, not on recordings that come into other cohorts.
            digest(
                folds=table_digest(rows),
                cohort=cohort_digest(recordings, cohort_spec),
                metadata=table_digest(recordings.loc[recordings["recording_id"].isin(rows["recording_id"]), read]),
            ),
            computed=0 if reused else len(rows),
            reused=len(rows) if reused else 0,
            recordings=rows["recording_id"].nunique(),
            donors=rows["donor"].nunique(),
            classes=sorted(rows["label"].unique()),
            parameters=protocol_spec.model_dump(mode="json", exclude={"description"}),
            rows=rows,
            schema=FOLDS,
            lies_in=workspace.folds_path(name),
            plots=None if reused else _plots(rows),
            folds=table(summarise_folds(rows)),
            absent_from_test_folds=absent_classes(rows),
            # Seeds; under temporal the moment and what is left out.
            **{str(name): value for name, value in rows.attrs.items()},
        )

    return folds


def _plots(folds: "pd.DataFrame") -> dict[str, bytes]:
    from cry_pipeline.reports.figures.data import fold_classes

    return {"classes by fold": fold_classes(folds)}


def _columns_read(name: str, catalog: Catalog) -> list[str]:
    """Return the columns of the manifest that models of experiments on these folds read, with the recordings' ids."""
    experiments = [experiment for experiment in catalog.experiments.values() if experiment.folds_name == name]
    models = [catalog.models[experiment.model] for experiment in experiments]
    return ["recording_id", *sorted({column for model in models for column in model.metadata})]
