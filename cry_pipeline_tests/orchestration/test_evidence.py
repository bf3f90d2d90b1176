"""The evidence asset: which runs probe its shortcuts, and what it says."""

from pathlib import Path

import dagster as dg
import pytest

from cry_pipeline.catalog import Catalog, load_catalog
from cry_pipeline.evaluation.evidence import evidence_folder
from cry_pipeline.evaluation.records import NOT_RUN, OF_BEFORE
from cry_pipeline.folds.schemas import FOLDS
from cry_pipeline.orchestration.assets.evidence import evidence_of
from cry_pipeline.orchestration.assets.runs import run_asset
from cry_pipeline.orchestration.current import Now, probe_experiments
from cry_pipeline.orchestration.found import details_of, find_evidence
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.training import runs
from cry_pipeline.training.current_runs import NotTrainedError


def majority_as_probe(catalog: Catalog) -> Catalog:
    """Return ``catalog`` with its majority runs as the one probe there is: it stands for the platform's."""
    marks = {name: "platform" if name == "majority" else None for name in catalog.models}
    models = {name: model.model_copy(update={"probe": marks[name]}) for name, model in catalog.models.items()}
    return catalog.model_copy(update={"models": models})


def test_a_probe_is_the_run_that_sees_no_audio_on_the_same_folds() -> None:
    catalog = majority_as_probe(load_catalog())
    assert probe_experiments("cleaned_lfeb_attention_lstm_donor_grouped", catalog) == {
        "platform": "cleaned_majority_donor_grouped"
    }
    assert probe_experiments("cleaned_lfeb_attention_lstm_clip_stratified", catalog) == {
        "platform": "cleaned_majority_clip_stratified"
    }
    assert probe_experiments("cleaned_majority_donor_grouped", catalog) == {
        "platform": "cleaned_majority_donor_grouped"
    }, "a shortcut is explained by itself"


def test_of_several_probes_the_one_of_the_same_seed_is_taken() -> None:
    catalog = majority_as_probe(load_catalog())
    majority = catalog.experiments["cleaned_majority_donor_grouped"]
    more = {f"a_seed_{seed}": majority.model_copy(update={"seed": seed}) for seed in (1, 2)}
    own = catalog.experiments["cleaned_logistic_regression_donor_grouped"].model_copy(update={"seed": 2})
    many = catalog.model_copy(update={"experiments": catalog.experiments | more | {"own": own}})
    assert probe_experiments("own", many) == {"platform": "a_seed_2"}
    assert probe_experiments("cleaned_logistic_regression_donor_grouped", many) == {
        "platform": "cleaned_majority_donor_grouped"
    }


def test_a_probe_that_has_not_been_run_is_left_out_of_what_evidence_rests_on(first_run, tmp_path: Path) -> None:
    settings = first_run[0].settings
    catalog, workspace = majority_as_probe(load_catalog(settings.catalog)), Workspace.of(settings)
    grouped = Now(catalog, workspace).provenance_of("cleaned_logistic_regression_donor_grouped")
    assert [name for name, _ in grouped.shortcuts.values()] == ["cleaned_majority_donor_grouped"]
    own = Path("runs") / "cleaned_logistic_regression_donor_grouped"
    (tmp_path / "runs").mkdir()
    for folder in ("folds", "manifests", own):
        (tmp_path / folder).symlink_to(settings.data / folder)
    elsewhere = Workspace.of(settings.model_copy(update={"data": tmp_path}))
    assert Now(catalog, elsewhere).provenance_of("cleaned_logistic_regression_donor_grouped").shortcuts == {}


def test_evidence_says_verdict_p_value_interval_and_slope(first_run) -> None:
    key = dg.AssetKey(["evidence", "cleaned", "donor_grouped", "logistic_regression"])
    events = [event.materialization for event in first_run[1].get_asset_materialization_events()]
    (metadata,) = [event.metadata for event in events if event.asset_key == key]
    value = {name: entry.value for name, entry in metadata.items()}
    assert value["low"] <= value["headline"] <= value["high"]
    assert 0 < value["p_value"] <= 1
    assert value["slope"] > 0
    assert value["probes_not_run"] == ["platform", "metadata", "loudness", "all metadata"]
    assert "p = " in value["verdict"]
    assert "by itself" in value["verdict"]


def test_predictions_are_read_only_where_there_is_evidence_to_make(
    installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, settings = "cleaned_logistic_regression_donor_grouped", installation.settings
    catalog, workspace, asked = load_catalog(settings.catalog), Workspace.of(settings), []
    read_run = runs.read_run
    monkeypatch.setattr(runs, "read_run", lambda *which: asked.append(which[0]) or read_run(*which))
    kept, reused = evidence_of(name, catalog, workspace)
    assert (reused, asked) == (True, [])
    path = evidence_folder(settings.evidence, name, kept.digest) / "evidence.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    made, reused = evidence_of(name, catalog, workspace)
    assert (reused, asked[0], made) == (False, name, kept)


def test_until_there_is_enough_to_train_again_pages_show_what_was_found_before(
    installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judged donation changes the folds of its cohort, and training may be a week away, or many donations."""
    name, settings = "cleaned_logistic_regression_donor_grouped", installation.settings
    catalog, workspace = load_catalog(settings.catalog), Workspace.of(settings)
    folds = workspace.folds("cleaned_donor_grouped")
    FOLDS.write(workspace.folds_path("cleaned_donor_grouped"), folds.iloc[1:], "0" * 64)
    assert find_evidence(catalog, workspace).not_run[name] == NOT_RUN, "nothing is compared across recordings"
    found = find_evidence(catalog, workspace, of_before=True)
    assert found.not_run[name] == OF_BEFORE
    (known,) = [each for each in found.evidence if each.provenance.experiment == name]
    assert details_of(known, catalog, workspace).mistakes
    recordings = workspace.recordings()
    left = recordings[recordings["recording_id"] != folds["recording_id"].iloc[-1]]
    monkeypatch.setattr(Workspace, "recordings", lambda _: left)
    withdrawn = find_evidence(catalog, workspace, of_before=True)
    assert withdrawn.not_run[name] == NOT_RUN, "what is shown must be of recordings that there are"


def test_a_run_of_other_classes_is_not_trained_yet_and_stops_no_report(first_run) -> None:
    name = "cleaned_logistic_regression_donor_grouped"
    settings = first_run[0].settings
    catalog, workspace = load_catalog(settings.catalog), Workspace.of(settings)
    assert name not in find_evidence(catalog, workspace).not_run
    cohort = catalog.cohorts["cleaned"]
    reordered = cohort.model_copy(update={"classes": cohort.classes[::-1]})
    changed = catalog.model_copy(update={"cohorts": {**catalog.cohorts, "cleaned": reordered}})
    with pytest.raises(NotTrainedError, match=f"{name} has not been trained with these parameters"):
        Now(changed, workspace).provenance_of(name)
    found = find_evidence(changed, workspace)
    assert name in found.not_run
    assert "curation_lfeb_attention_lstm_donor_grouped" not in found.not_run
    assert run_asset(name, changed).code_versions_by_key != run_asset(name, catalog).code_versions_by_key
