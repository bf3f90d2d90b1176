"""``reports/mlflow``: the mirror of runs, evidence and champions in MLflow, where ``MLFLOW_TRACKING_URI`` is set."""

import logging
from collections.abc import Iterator

import dagster as dg

from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.orchestration.asset_keys import CHAMPION
from cry_pipeline.orchestration.conditions import when_stale
from cry_pipeline.orchestration.reporting import OWNERS, materialized, points
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.tracking import TrackingError, tracking_uri

LOG = logging.getLogger("cry_pipeline")
MLFLOW = dg.AssetKey(["reports", "mlflow"])
TOLD = "told"


def mirror_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the asset of the mirror; none where there is nobody to tell."""
    return [mirror_asset(catalog)] if tracking_uri() else []


def mirror_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that tells MLflow what is new.

    A server that does not answer stops nothing and fails no run, as all that counts is here: a warning says so, and a
    check; the asset stays as stale as it was, so that it is asked for again.
    """

    @dg.asset(
        key=MLFLOW,
        deps=[dg.AssetKey(["reports", "experiments"]), *([CHAMPION] if catalog.champion.cry else [])],
        group_name="reports",
        kinds={"mlflow"},
        owners=OWNERS,
        description="All runs with their evidence and pages, and the champions, as MLflow at MLFLOW_TRACKING_URI shows "
        "them. One way: nothing is read back.",
        code_version="1",
        output_required=False,
        check_specs=[
            dg.AssetCheckSpec(TOLD, asset=MLFLOW, description="MLflow answered, and was told of all that there is.")
        ],
        automation_condition=when_stale(),
    )
    def mlflow(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator:
        from cry_pipeline.orchestration.mirroring import mirror_of

        try:
            done = mirror_of(catalog, workspace)
        except TrackingError as error:
            LOG.warning("%s", error)
            yield _checked([str(error)])
            return
        yield materialized(
            context,
            digest(place=done.place, told=done.told),
            told=points(done.told),
            computed=len(done.told),
            reused=done.before,
            server=done.place,
        )
        yield _checked(done.faults)

    return mlflow


def _checked(faults: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=TOLD,
        asset_key=MLFLOW,
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(faults) or "MLflow was told of all that there is.",
    )
