"""Experiments side by side: begun once their inputs are there, each once, and each step gets its own."""

import threading
from pathlib import Path

import dagster as dg
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.engine import Local
from cry_pipeline.orchestration import ahead
from cry_pipeline.orchestration.ahead import Ahead, side_by_side, trained_ahead
from cry_pipeline.orchestration.asset_keys import run_key
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings
from cry_pipeline_tests.engine.elsewhere import Elsewhere

TIMEOUT_S = 60


def test_others_are_trained_meanwhile_and_each_once() -> None:
    meeting, trained = threading.Barrier(3), []

    def train(name: str) -> str:
        trained.append(name)
        meeting.wait(TIMEOUT_S)  # of as many as may be side by side
        return name.upper()

    begun = Ahead[str]()
    assert begun.result("a", train, ["a", "b", "c", "d", "e", "f"], 3) == "A"
    assert trained[:1] == ["a"]
    for name in "bcdef":
        assert begun.result(name, train, ["a", "b", "c", "d", "e", "f"], 3) == name.upper()
    assert sorted(trained) == list("abcdef")


def test_what_fails_ahead_fails_in_its_own_step_and_nowhere_else() -> None:
    def train(name: str) -> str:
        if name == "b":
            raise ValueError("what b said")
        return name

    begun = Ahead[str]()
    assert begun.result("a", train, ["b", "c"], 3) == "a"
    assert begun.result("c", train, ["b"], 3) == "c"
    with pytest.raises(ValueError, match="what b said"):
        begun.result("b", train, [], 3)


def test_places_are_for_the_folds_of_one_experiment_or_more() -> None:
    assert [side_by_side(engine) for engine in (Local(64), Elsewhere(2), Elsewhere(5), Elsewhere(64))] == [1, 1, 2, 13]


def test_only_experiments_whose_inputs_are_there_are_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = load_catalog()
    names = ["cleaned_majority_donor_grouped", "cleaned_all_metadata_donor_grouped", "uploads_majority_donor_grouped"]
    monkeypatch.setattr(Workspace, "spread", lambda _: Elsewhere(10))
    offered = []

    def note(self: Ahead, name: str, train: object, others: list[str], most: int) -> str:
        offered.append((name, others, most))
        return name

    monkeypatch.setattr(Ahead, "result", note)

    def folds(name: str, after: list[dg.AssetKey]) -> dg.AssetsDefinition:
        return dg.asset(key=["folds", catalog.experiments[name].folds_name], deps=after)(lambda: None)

    def run(name: str) -> dg.AssetsDefinition:
        def step(context: dg.AssetExecutionContext, workspace: Workspace) -> None:
            trained_ahead(name, str, context, catalog, workspace)

        deps = [["folds", catalog.experiments[name].folds_name]]
        return dg.asset(key=run_key(name, catalog), deps=deps)(step)

    first = run_key(names[0], catalog)
    assets = [folds(names[0], []), folds(names[2], [first]), *map(run, names)]
    workspace = Workspace.of(Settings(data=tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize(assets, resources={"workspace": workspace}, instance=instance).success
    found = {name: (sorted(others), most) for name, others, most in offered}
    assert found[names[0]] == (sorted(names[:2]), 3)
    assert found[names[2]] == (sorted(names), 3)
    assert len(ahead._of_run) == 1
