"""The whole graph on a real instance: it runs, it is not run again, and a change is felt where it should be."""

import importlib
import json
import re
import shutil
import warnings
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

import cry_pipeline
from cry_pipeline.catalog import load_catalog
from cry_pipeline.definitions import build_definitions
from cry_pipeline.orchestration.asset_keys import run_key
from cry_pipeline.orchestration.jobs import by_default
from cry_pipeline.orchestration.launch import QUIET, materialize
from cry_pipeline.orchestration.records import is_current, last_made
from cry_pipeline.reports.leaderboard import read_leaderboard
from cry_pipeline.reports.pages import PAGES
from cry_pipeline_tests.orchestration.installations import EXPERIMENTS, FOLDS, RecordedRun

REPORTS = ("leaderboard", "model_comparison", "leakage_ladder", "hybrid_ablation", "experiments", "site")


def counts(result: dg.ExecuteInProcessResult | RecordedRun) -> dict[str, tuple[int, int]]:
    """Computed and reused by asset."""
    found = {}
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        found[event.materialization.asset_key.to_user_string()] = (
            metadata["computed"].value,
            metadata["reused"].value,
        )
    return found


def stale(installation) -> set[str]:
    """The assets that Dagster marks stale or missing; what is of the study alone was not run, and is not meant."""
    graph = installation.definitions.resolve_asset_graph()
    study = graph.materializable_asset_keys - of_default(installation)
    with installation.instance() as instance:
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return {
            key.to_user_string()
            for key in graph.materializable_asset_keys
            if key not in study and resolver.get_status(key) is not StaleStatus.FRESH
        }


def of_default(installation) -> set[dg.AssetKey]:
    """The assets that `make run` materializes."""
    return set(by_default().resolve(installation.definitions.resolve_asset_graph()))


def test_every_asset_is_materialized_and_every_check_passes(first_run):
    installation, result = first_run
    assert result.success
    graph = installation.definitions.resolve_asset_graph()
    wanted = of_default(installation)
    assert {key.to_user_string() for key in wanted} == set(counts(result))
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == len([check for check in graph.asset_check_keys if check.asset_key in wanted])
    warned = [evaluation.check_name for evaluation in evaluations if not evaluation.passed]
    assert warned == ["donations_taken"]  # the test's installation has a refused one
    assert stale(installation) == set()


def test_second_run_computes_nothing(installation):
    result = installation.run()
    assert result.success
    # The installation's copy has an archive of its own, whose files are hashed once more.
    assert {asset for asset, (computed, _) in counts(result).items() if computed} <= {"raw/inventory"}
    assert not pictures(result)
    # Nobody has judged anything.
    assert {asset for asset, (_, reused) in counts(result).items() if not reused} == {"raw/judgements"}


def test_study_adds_its_experiments_and_goes_on_where_it_was(installation):
    installation = installation.with_study()
    definitions = installation.definitions
    with pytest.raises(ValueError, match="selects only assets of the study; add --study"):
        materialize(definitions, installation.settings, 'key:"runs/curation/temporal/majority"')
    materialize(definitions, installation.settings, 'key:"folds/curation_temporal"+', study=True)
    result = installation.run("study")
    assert result.success
    found = counts(result)
    assert found["runs/curation/temporal/majority"] == (0, 1)
    assert found["runs/cleaned/augment_then_split/logistic_regression"] == (FOLDS["augment_then_split"], 0)
    assert not any(computed for name, (computed, _) in found.items() if "/donor_grouped/" in name)
    evaluated = {check.asset_key.to_user_string() for check in result.get_asset_check_evaluations()}
    assert "folds/curation_temporal" in evaluated
    assert "folds/cleaned_augment_then_split" not in evaluated
    leaderboard = pd.read_parquet(installation.settings.reports / "leaderboard.parquet")
    assert {"augment_then_split", "temporal"} <= set(leaderboard["protocol"])


def test_changed_parameter_makes_exactly_its_feature_set_stale_and_then_the_runs_on_it(installation):
    installation.edit_catalog("feature_sets", mel64_8k={"fmin_hz": 60})
    assert stale(installation) == {"features/mel64_8k"}
    materialize(build_definitions(installation.settings), installation.settings, 'key:"features/mel64_8k"')
    catalog = load_catalog(installation.settings.catalog)
    on_features = [name for name in EXPERIMENTS if EXPERIMENTS[name] == "default" and "majority" not in name]
    runs = {run_key(name, catalog).to_user_string() for name in on_features}
    of_features = {"donations", "feature_sets", "feature_store", "flow", "how_much_data"}
    assert stale(installation) == {*(f"reports/{name}" for name in of_features), *runs}


@pytest.mark.parametrize("edited", ["nothing", "feature_sets", "models"])
def test_our_reading_of_what_is_current_is_dagster_s(installation, edited):
    if edited != "nothing":
        entries = {"feature_sets": {"mel64_8k": {"fmin_hz": 60}}, "models": {"svm_covariance": {"width": 9}}}
        installation.edit_catalog(edited, **entries[edited])
    graph = installation.definitions.resolve_asset_graph()
    with installation.instance() as instance:
        made = last_made(instance, graph.materializable_asset_keys)
    old = {key.to_user_string() for key in of_default(installation) if not is_current(key, graph, made)}
    assert old == stale(installation)
    assert bool(old) == (edited != "nothing")


def test_changed_hyperparameter_makes_exactly_the_runs_of_its_model_stale(installation):
    installation.edit_catalog("models", logistic_regression={"inverse_regularisation": 0.5})
    assert stale(installation) == {
        "runs/cleaned/donor_grouped/logistic_regression",
        "runs/cleaned/clip_stratified/logistic_regression",
        "runs/uploads/donor_grouped/logistic_regression",
    }


def test_changed_feature_set_reaches_runs_and_evidence_once_materialized(installation):
    installation.edit_catalog("feature_sets", mel64_8k={"fmin_hz": 60})
    result = installation.run()
    computed = {asset for asset, (count, _) in counts(result).items() if count}
    assert "features/mel64_8k" in computed
    assert "features/mel128_8k" not in computed
    assert "runs/cleaned/donor_grouped/logistic_regression" in computed
    assert "evidence/cleaned/donor_grouped/logistic_regression" in computed
    assert "runs/cleaned/donor_grouped/majority" not in computed
    assert stale(installation) == set()


def test_report_of_synthetic_data_says_so_in_its_title(first_run):
    settings = first_run[0].settings
    pages = list(settings.reports.rglob("*.html"))
    assert len(pages) == len(PAGES) + list(EXPERIMENTS.values()).count("default")
    # No experiment of the shrunk catalog has its hybrid image's single planes beside it: there is nothing to show. And
    # what was donated is not generated; nor is what checklists ask.
    for page in set(pages) - {
        settings.reports / name for name in ("hybrid_ablation.html", "donations.html", "checklist.html")
    }:
        assert "<title>SYNTHETIC DATA" in page.read_text(), page
    recordings = pd.read_parquet(settings.manifests / "recordings.parquet")
    assert set(recordings["source"]) == {"synthetic", "inbox"}


def test_reports_show_what_there_is_and_list_what_was_not_run(installation):
    gone = "cleaned_logistic_regression_donor_grouped"
    shutil.rmtree(installation.settings.evidence / gone)
    damaged = "cleaned_majority_donor_grouped"
    (torn,) = (installation.settings.evidence / damaged).glob("*/evidence.json")
    torn.write_bytes(torn.read_bytes()[:1000])
    graph = installation.definitions
    with installation.instance() as instance:
        result = graph.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["reports", name]) for name in REPORTS], run_config=QUIET
        )
    assert result.success
    reports = installation.settings.reports
    for page in ("index", "leaderboard", "leakage_ladder"):
        assert re.search(rf"{gone}</code> <span class=\"muted\">not run", (reports / f"{page}.html").read_text()), page
    assert not (reports / "experiments" / f"{gone}.html").exists()
    assert f'{damaged}</code> <span class="muted">its evidence is damaged: materialize it again' in (
        (reports / "index.html").read_text()
    ), "named, and no report stops for it"
    assert damaged not in read_leaderboard(reports)["experiment"].tolist()
    assert (
        "no donor-grouped twin"
        in (reports / "experiments" / "cleaned_logistic_regression_clip_stratified.html").read_text()
    )


def test_lineage_of_a_fold_names_what_went_in(first_run):
    settings = first_run[0].settings
    (provenance,) = settings.runs.glob("cleaned_logistic_regression_donor_grouped/*/fold-0-2/provenance.json")
    lineage = json.loads(provenance.read_text())
    (feature_set,) = {path.parts[-3] for path in Path(settings.features).glob("*/parts/*")} & {
        lineage["made_from"]["inputs"]["features"]
    }
    assert feature_set
    assert lineage["catalog"]["cohort"] == "cleaned"


def test_dagster_says_nothing_of_deprecation_about_our_definitions(first_run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_definitions(first_run[0].settings).resolve_all_job_defs()


def pictures(result: dg.ExecuteInProcessResult) -> list[str]:
    """The names of assets with a picture in their metadata."""
    return [
        event.materialization.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        for value in event.materialization.metadata.values()
        if isinstance(value, dg.MarkdownMetadataValue) and "data:image" in str(value.md_str)
    ]


def test_no_plot_bloats_the_event_log(first_run):
    _, result = first_run
    sizes = [
        len(value.md_str)
        for event in result.get_asset_materialization_events()
        for value in event.materialization.metadata.values()
        if isinstance(value, dg.MarkdownMetadataValue) and value.md_str
    ]
    assert sizes
    assert max(sizes) < 82_000  # base64 of 60 kB


def test_workspace_file_leads_to_the_definitions(first_run):
    workspace = yaml.safe_load((Path(cry_pipeline.__file__).parents[1] / "workspace.yaml").read_text())
    (target,) = workspace["load_from"]
    module = importlib.import_module(target["python_module"]["module_name"])
    loaded = getattr(module, target["python_module"]["attribute"])()
    assert loaded.resolve_job_def("everything")
