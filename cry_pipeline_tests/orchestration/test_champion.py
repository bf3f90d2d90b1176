"""``models/champion`` on a real instance: exported, checked against the pipeline, and not made again."""

import dagster as dg
import pytest

from cry_pipeline.definitions import build_definitions
from cry_pipeline.inference import refusals
from cry_pipeline.inference.champions import current, history
from cry_pipeline.orchestration.asset_keys import CHAMPION
from cry_pipeline.orchestration.assets.champion import challenger_check
from cry_pipeline.orchestration.launch import RunFailedError, materialize
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings

SELECTION = 'key:"models/champion"'


def test_champion_is_promoted_once_checked_and_not_made_from_a_damaged_run(installation):
    assert len(history(installation.settings.models)) == 1  # made without the candidate of the study
    assert materialize(build_definitions(installation.settings), installation.settings, SELECTION) == 1
    with installation.instance() as instance:
        event = instance.get_latest_materialization_event(CHAMPION)
        key = dg.AssetCheckKey(CHAMPION, "equals_offline")
        checks = instance.event_log_storage.get_asset_check_execution_history(key, limit=2)
    assert event.asset_materialization.metadata["promoted"].value is False
    assert event.asset_materialization.metadata["reused"].value == 1
    assert len(history(installation.settings.models)) == 1
    assert [check.status.name for check in checks] == ["SUCCEEDED", "SUCCEEDED"]
    assert (current(installation.settings.models) / "MODEL_CARD.md").read_text().count("SYNTHETIC DATA") == 1

    run = next(installation.settings.runs.glob("curation_svm*hashed/*/fold-0-0/predictions.parquet"))
    run.write_bytes(run.read_bytes()[:-1])
    with pytest.raises(RunFailedError, match=r"predictions\.parquet"):
        materialize(build_definitions(installation.settings), installation.settings, SELECTION)


def test_a_refusal_is_a_warning_for_as_long_as_it_stands(settings: Settings):
    def check() -> dg.AssetCheckResult:
        result = challenger_check()(workspace=Workspace.of(settings))
        assert isinstance(result, dg.AssetCheckResult)
        return result

    assert check().passed
    refusals.note(settings.models, "c" * 64, None, {"cry": {"experiment": "x", "run": "r"}}, ["cry: worse", "and more"])
    warned = check()
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert str(warned.description).endswith("cry: worse; and more")
    refusals.settle(settings.models)
    assert check().passed
    (settings.models / refusals.REFUSALS).write_text("torn")
    assert "cannot be read" in str(check().description)
