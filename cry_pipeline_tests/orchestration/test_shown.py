"""What pages show besides evidence: as it lies in an installation, and said where it cannot be read."""

import json
import re
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from cry_pipeline.catalog import load_catalog
from cry_pipeline.command.champion import champion_app
from cry_pipeline.corpus.manifest import read_quarantine
from cry_pipeline.inference.champions import history, promotion, switch
from cry_pipeline.orchestration.assets.reports import REPORTS, deps_of, material_of, reports_of
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.shown import champion_of, confused_of, stored_of, tables_of
from cry_pipeline.reports.champion_page import CHAMPION_PAGE
from cry_pipeline.reports.checklist import CHECKLIST_PAGE
from cry_pipeline.reports.confusers_page import CONFUSERS_PAGE
from cry_pipeline.reports.donations_page import DONATIONS_PAGE
from cry_pipeline.reports.feature_sets import FEATURE_SETS_REPORT
from cry_pipeline.reports.flow_page import FLOW_PAGE
from cry_pipeline.reports.live_page import LIVE_PAGE
from cry_pipeline.reports.manifest_page import MANIFEST_PAGE
from cry_pipeline.reports.store_page import STORE_PAGE
from cry_pipeline_tests.orchestration.installations import ODD, REFUSED
from cry_pipeline_tests.reports.test_leaderboard import Page


def test_a_report_waits_for_what_it_is_made_of_and_for_nothing_else() -> None:
    catalog = load_catalog()

    def groups(report) -> set[str]:
        return {dg.AssetKey.from_coercible(key).path[0] for key in deps_of(report, catalog)}

    assert groups(CHAMPION_PAGE) == {"models"}
    assert groups(MANIFEST_PAGE) == {"manifests"}
    assert groups(DONATIONS_PAGE) == {"manifests", "donations", "raw", "features"}
    assert groups(LIVE_PAGE) == {"manifests", "donations", "raw", "models"}
    assert groups(CONFUSERS_PAGE) == {"models"}
    assert groups(FLOW_PAGE) == {"manifests", "features", "evidence"}
    assert groups(CHECKLIST_PAGE) == set()
    assert groups(STORE_PAGE) == groups(FEATURE_SETS_REPORT) == {"manifests", "features", "evidence"}
    without = catalog.model_copy(update={"champion": catalog.champion.model_copy(update={"cry": ()})})
    assert deps_of(CHAMPION_PAGE, without) == []
    assert len({report.name for report in reports_of(catalog)}) == len(REPORTS) + 2


def test_pages_hold_what_was_made(first_run) -> None:
    settings = first_run[0].settings
    catalog, workspace = load_catalog(settings.catalog), Workspace.of(settings)
    (event,) = history(settings.models)
    text = {
        report.file: Page((settings.reports / f"{report.file}.html").read_text()).text
        for report in (CHAMPION_PAGE, MANIFEST_PAGE, DONATIONS_PAGE, STORE_PAGE)
    }
    assert f"promoted {event.digest[:16]}" in text["champion"]
    assert event.why[0] in text["champion"]
    assert f"Model card: infant-cry champion {event.digest[:16]}" in text["champion"]
    assert "files 2 accepted 1 refused 1" in text["donations"]
    assert ODD in text["donations"]
    assert REFUSED in text["donations"]
    asked = Page((settings.reports / "confusers.html").read_text()).text
    assert "adults who imitate a cry" in asked
    assert re.search(r"known confuser|None of these sounds is clearly called a cry", asked)
    refused = read_quarantine(settings.manifests / "quarantine.parquet")
    assert f"files refused {len(refused)}" in text["manifest"]
    for stored in stored_of(catalog, workspace).sets:
        assert f"{stored.name} {stored.recordings:,} " in text["store"]


def test_the_store_is_told_as_it_is(installation) -> None:
    settings, name = installation.settings, "mel64_8k"
    catalog, workspace = load_catalog(settings.catalog), Workspace.of(settings)
    before = {each.name: each for each in stored_of(catalog, workspace).sets}[name]
    assert before.recordings == len(workspace.recordings())
    assert (before.missing, before.failed) == (0, {})
    ran = [each for each in catalog.experiments.values() if each.tier == "default" and each.feature_set == name]
    assert before.runs == sum(bool(catalog.models[each.model].inputs) for each in ran), "of models that read it"
    changed = catalog.feature_sets[name].model_copy(update={"fmin_hz": 60.0})
    edited = catalog.model_copy(update={"feature_sets": catalog.feature_sets | {name: changed}})
    stored = stored_of(edited, workspace)
    now = {each.name: each for each in stored.sets}[name]
    assert (now.recordings, now.missing, now.parts, now.runs) == (0, before.recordings, 0, 0)
    (unlisted,) = stored.unlisted
    assert (unlisted.digest, unlisted.parts, unlisted.runs) == (before.digest, before.parts, before.runs)
    assert not stored.faults


def test_what_cannot_be_read_is_said_and_stops_no_page(installation) -> None:
    settings = installation.settings
    catalog, workspace = load_catalog(settings.catalog), Workspace.of(settings)
    (event,) = history(settings.models)
    part = next(Path(settings.features).glob("*/parts/*/part.json"))
    part.write_text("{}")
    provenance = next(settings.runs.glob("cleaned_logistic*/*/*/provenance.json"))
    provenance.write_text("{}")
    faults = " ".join(stored_of(catalog, workspace).faults)
    assert str(provenance) in faults
    assert part.parent.name in faults

    (settings.models / "champions" / event.digest[:16] / "MODEL_CARD.md").write_text("another")
    champion = champion_of(workspace)
    assert "MODEL_CARD.md is not what was written" in str(champion.fault)
    assert "MODEL_CARD.md is not what was written" in str(confused_of(workspace).fault)
    assert [entry.digest for entry in champion.history] == [event.digest]
    assert not champion.card
    assert not champion.parts
    (settings.models / "champion.json").write_text(json.dumps({"champion": 1}))
    assert "champion.json cannot be read" in str(champion_of(workspace).fault)
    (settings.models / "champion.json").unlink()
    assert champion_of(workspace).fault is None
    assert not champion_of(workspace).history
    assert "There is no champion yet" in str(confused_of(workspace).fault)
    for report in (CHAMPION_PAGE, STORE_PAGE):
        assert report.write(material_of(report, catalog, workspace), settings.reports).computed


def test_a_rollback_is_on_the_page_at_once(installation, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = installation.settings
    (event,) = history(settings.models)
    switch(settings.models, promotion("f" * 64, event.digest, event.runs, ["in a test"]))
    for name in ("data", "catalog", "corpus"):
        monkeypatch.setenv(f"CRY_PIPELINE_{name.upper()}", str(getattr(settings, name)))
    result = CliRunner().invoke(champion_app, ["rollback"])
    assert result.exit_code == 0, result.output
    page = settings.reports / "champion.html"
    assert page.name in result.output
    text = Page(page.read_text()).text
    assert f"champion {event.digest[:16]} rolled back" in text
    assert "switches so far 3" in text
    page.unlink()
    switch(settings.models, promotion("f" * 64, event.digest, event.runs, ["in a test"]))
    assert CliRunner().invoke(champion_app, ["rollback"]).exit_code == 0
    assert not page.exists(), "where nobody has made reports, none is begun"


def test_nothing_is_read_that_a_report_is_not_made_of(first_run, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = first_run[0].settings
    catalog, workspace = load_catalog(settings.catalog), Workspace.of(settings)
    monkeypatch.setattr("cry_pipeline.orchestration.assets.reports.find_evidence", None)
    material = material_of(MANIFEST_PAGE, catalog, workspace)
    assert material.tables is not None
    assert re.fullmatch("[0-9a-f]{64}", material.tables.digests[0])
    assert material.tables.digests == tables_of(workspace).digests
    assert (material.stored, material.champion, material.features) == (None, None, None)
