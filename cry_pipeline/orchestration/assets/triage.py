"""``donations/triage``: what the champion says of each donation, and what follows."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.asset_keys import CHAMPION, RECORDINGS, TRIAGE
from cry_pipeline.orchestration.checks import told
from cry_pipeline.orchestration.conditions import when_stale
from cry_pipeline.orchestration.reporting import OWNERS, image, materialized, page_url, table
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.donations.live import Deployed
    from cry_pipeline.reports.happened import Batch

GROUP = "donations"
BATCH = "batch"
"""What a check of drift says which batch it tells of by."""


def triage_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that says what is taken, set aside or shown to a person."""
    spec = catalog.donations.triage

    @dg.asset(
        key=TRIAGE,
        deps=[RECORDINGS, *([CHAMPION] if catalog.champion.cry else [])],
        group_name=GROUP,
        kinds={"parquet", "onnx"},
        owners=OWNERS,
        description="What the champion says of each donation: taken, set aside, or shown to a person; and the audit "
        "share that people hear nevertheless.",
        code_version=keys.code_version("triage", spec.parts),
        # Before there is a champion, a person hears everything.
        automation_condition=when_stale(despite_missing=True),
    )
    def triaged(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.donations.arrivals import look_up_arrivals
        from cry_pipeline.donations.triage import TRIAGE as TABLE
        from cry_pipeline.donations.triage import triage, triage_path, write_triage

        settings, recordings, roots = workspace.settings, workspace.recordings(), workspace.roots()
        arrived = look_up_arrivals(recordings, settings)
        made = triage(recordings, arrived, roots.locate, settings, spec)
        write_triage(made, settings)
        by_decision = made.table.groupby("decision", as_index=False)
        by_bundle = made.table.groupby(["bundle", "lower", "upper"], as_index=False, dropna=False)
        return materialized(
            context,
            made.digest,
            donations=len(made.table),
            decisions=table(by_decision.agg(donations=("decision", "size"), audited=("audit", "sum"))),
            champions=table(by_bundle.agg(donations=("decision", "size"))),
            computed=made.computed,
            reused=made.reused,
            rows=made.table,
            schema=TABLE,
            lies_in=triage_path(settings),
            parameters=spec.parts,
            not_asked=dict(made.faults),
        )

    return triaged


def triage_checks(catalog: Catalog) -> list[dg.AssetChecksDefinition]:
    """Return the checks of triage; they warn, and block nobody."""
    return [drift_check(catalog), audit_check(catalog)]


def drift_check(catalog: Catalog) -> dg.AssetChecksDefinition:
    """Return the check that warns where donations are unlike what the champion was trained on."""

    @dg.asset_check(
        asset=TRIAGE,
        name="drift",
        description="The latest batch of donations is like what the champion was trained on: its scores, and a dozen "
        "things that are measured of recordings.",
    )
    def drift(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> dg.AssetCheckResult:
        def check() -> dg.AssetCheckResult:
            found = _deployed(catalog, workspace).batches(catalog.donations.drift.level, most=1)
            if not found:
                said = "too few donors have donated since the champion came into use to say so"
                return dg.AssetCheckResult(passed=True, description=said)
            (batch,) = found
            name = f"{batch.bundle[:8]} until {batch.last} UTC"
            # A batch stays the latest for many donations, and the log that keeps its plots is never pruned.
            plots = {} if _told_of(context.instance) == name else _drawn(batch)
            unlike = f"unlike what the champion was trained on: {', '.join(batch.drifted)}"
            return dg.AssetCheckResult(
                passed=not batch.drifted,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    BATCH: name,
                    "page": page_url("live.html", workspace),
                    "donations": batch.donations,
                    "donors": batch.donors,
                    **plots,
                },
                description=f"{batch.donations} donations of {batch.donors} donors are {unlike}"
                if batch.drifted
                else None,
            )

        return told(check)

    return drift


def _told_of(instance: dg.DagsterInstance) -> str | None:
    """Return which batch the check told of last."""
    key = dg.AssetCheckKey(TRIAGE, "drift")
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=2):
        event = record.event.dagster_event if record.event else None
        if event is not None and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            told_of = event.asset_check_evaluation_data.metadata.get(BATCH)
            return str(told_of.value) if told_of else None
    return None


def _drawn(batch: "Batch") -> dict[str, dg.MetadataValue]:
    """Return what was compared, as a table and as plots."""
    from cry_pipeline.reports.figures.donations import distances, scores

    shown: dict[str, dg.MetadataValue] = {
        "compared": table(pd.DataFrame([asdict(one) for one in batch.compared])),
        "distances": image(distances(batch)),
    }
    return shown | ({"scores": image(scores(batch))} if batch.scores and batch.reference else {})


def audit_check(catalog: Catalog) -> dg.AssetChecksDefinition:
    """Return the check that warns where triage is less often right than the catalog asks, as far as people heard."""
    spec = catalog.donations.triage

    @dg.asset_check(
        asset=TRIAGE,
        name="audit",
        description="What people heard of the audit share does not speak against the precision that the catalog asks "
        "for, on neither side.",
    )
    def audit(workspace: Workspace) -> dg.AssetCheckResult:
        def check() -> dg.AssetCheckResult:
            counted = _deployed(catalog, workspace).counted
            sides = {
                "taken": (counted.right("taken"), spec.cry_precision),
                "set aside": (counted.right("set_aside"), spec.not_cry_precision),
            }
            short = [
                f"of what is {side}, {100 * found.value:.0f} % is right (at most {100 * found.high:.0f} %), "
                f"{100 * asked:g} % is asked for"
                for side, (found, asked) in sides.items()
                if found.value is not None and found.high is not None and found.high < asked
            ]
            rows = [{"side": side, "asked": asked, **asdict(found)} for side, (found, asked) in sides.items()]
            return dg.AssetCheckResult(
                passed=not short,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "sides": table(pd.DataFrame(rows)),
                    "asked to hear": int(counted.asked.sum()),
                    "heard": int(counted.heard.sum()),
                },
                description="; ".join(short) or None,
            )

        return told(check)

    return audit


def _deployed(catalog: Catalog, workspace: Workspace) -> "Deployed":
    from cry_pipeline.donations.live import deployed

    return deployed(workspace.settings, catalog, workspace.recordings())
