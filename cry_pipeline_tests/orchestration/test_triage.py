"""``donations/triage`` and its checks: what they warn of, and that they block nobody."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.donations.live import Deployed
from cry_pipeline.orchestration.asset_keys import CHAMPION, RECORDINGS, TRIAGE
from cry_pipeline.orchestration.assets import triage as module
from cry_pipeline.orchestration.assets.triage import audit_check, drift_check, triage_asset
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings
from cry_pipeline_tests.donations.test_drift import recordings
from cry_pipeline_tests.donations.test_live import donation

CATALOG = load_catalog()
BUNDLE = "b" * 64


def result_of(check: dg.AssetChecksDefinition, tmp_path: Path) -> dg.AssetCheckResult:
    """Call a check as Dagster does."""
    context = [dg.build_asset_check_context()] if check.check_key.name == "drift" else []
    found = check(*context, Workspace.of(Settings(data=tmp_path)))
    assert isinstance(found, dg.AssetCheckResult)
    return found


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Deployed]:
    """What the checks look at, under ``it``."""
    given: dict[str, Deployed] = {}
    monkeypatch.setattr(module, "_deployed", lambda catalog, workspace: given["it"])
    return given


def donations_like(shift: float) -> Deployed:
    rng = np.random.default_rng(0)
    arrived, trained = recordings(rng, 20, rms_dbfs=shift), recordings(rng, 150)
    rows = arrived[["recording_id", "donor"]].assign(
        bundle=BUNDLE,
        by_one=arrived["score"],
        arrived_at=pd.date_range("2026-01-01", periods=len(arrived), freq="h", tz="UTC"),
    )
    everything = pd.concat([arrived, trained], ignore_index=True).drop(columns=["donor", "score"])
    return Deployed(rows, [], {BUNDLE: trained[["recording_id", "donor", "score"]]}, everything, pd.DataFrame())


def test_drift_is_a_warning_with_a_plot(deployed: dict[str, Deployed], tmp_path: Path) -> None:
    deployed["it"] = donations_like(2.0)
    found = result_of(drift_check(CATALOG), tmp_path)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "of 20 donors are unlike what the champion was trained on: rms_dbfs" in str(found.description)
    assert {"distances", "scores", "compared"} <= set(found.metadata)
    deployed["it"] = donations_like(0.0)
    assert result_of(drift_check(CATALOG), tmp_path).passed


def test_each_batch_is_drawn_once(deployed: dict[str, Deployed], tmp_path: Path) -> None:
    """The log is never pruned, and the latest batch stays the latest for many donations."""
    deployed["it"] = donations_like(2.0)
    later = deployed["it"].rows.assign(arrived_at=lambda rows: rows["arrived_at"] + pd.Timedelta(days=9))
    asset = dg.asset(key=TRIAGE)(lambda: None)
    resources = {"workspace": Workspace.of(Settings(data=tmp_path))}
    with dg.DagsterInstance.ephemeral() as instance:

        def told() -> set[str]:
            run = dg.materialize([asset, drift_check(CATALOG)], instance=instance, resources=resources)
            (evaluation,) = run.get_asset_check_evaluations()
            assert not evaluation.passed
            return set(evaluation.metadata)

        drawn = {"compared", "distances", "scores"}
        assert drawn <= told()
        assert not drawn & told()
        assert not drawn & told(), "nor after that"
        deployed["it"] = replace(deployed["it"], rows=later)
        assert drawn <= told()


def test_of_few_donations_drift_says_nothing(deployed: dict[str, Deployed], tmp_path: Path) -> None:
    some = donations_like(2.0)
    deployed["it"] = replace(some, rows=some.rows[:3])
    found = result_of(drift_check(CATALOG), tmp_path)
    assert found.passed
    assert "too few donors" in str(found.description)


@pytest.mark.parametrize(("wrong", "passed"), [(1, True), (15, False)])
def test_what_people_heard_may_speak_against_triage(
    wrong: int, passed: bool, deployed: dict[str, Deployed], tmp_path: Path
) -> None:
    rows = pd.DataFrame(
        [
            donation(n, decision="taken", audit=True, verdict="not_cry" if n < wrong else "cry", bundle=BUNDLE)
            for n in range(60)
        ]
    )
    deployed["it"] = Deployed(rows, [], {}, pd.DataFrame(), pd.DataFrame())
    found = result_of(audit_check(CATALOG), tmp_path)
    assert (found.passed, found.severity) == (passed, dg.AssetCheckSeverity.WARN)
    if not passed:
        assert "of what is taken, 75 % is right (at most 8" in str(found.description)
        assert "95 % is asked for" in str(found.description)


def test_before_anything_was_heard_the_audit_does_not_warn(deployed: dict[str, Deployed], tmp_path: Path) -> None:
    deployed["it"] = Deployed(pd.DataFrame([donation(0, decision="taken")]), [], {}, pd.DataFrame(), pd.DataFrame())
    assert result_of(audit_check(CATALOG), tmp_path).passed


def test_a_table_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    found = result_of(audit_check(CATALOG), tmp_path)
    assert not found.passed
    assert "materialize" in str(found.description)


def test_triage_waits_for_manifest_and_champion_where_there_is_one() -> None:
    asset = triage_asset(CATALOG)
    assert asset.key == TRIAGE
    assert set(asset.asset_deps[TRIAGE]) == {RECORDINGS, CHAMPION}
    without = CATALOG.model_copy(update={"champion": CATALOG.champion.model_copy(update={"cry": ()})})
    assert set(triage_asset(without).asset_deps[TRIAGE]) == {RECORDINGS}
    other = CATALOG.donations.model_copy(
        update={"triage": CATALOG.donations.triage.model_copy(update={"audit_share": 0.2})}
    )
    changed = triage_asset(CATALOG.model_copy(update={"donations": other}))
    assert changed.code_versions_by_key != asset.code_versions_by_key, "another share is another triage"
