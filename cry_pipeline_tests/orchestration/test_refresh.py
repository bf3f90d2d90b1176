"""What follows from a change is planned, said and made in one go, and nothing else."""

from collections.abc import Callable

import dagster as dg
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.command import main as cli
from cry_pipeline.orchestration import launch
from cry_pipeline.orchestration.asset_keys import STUDY, run_key
from cry_pipeline.orchestration.refresh import TRAINED_ALREADY, Plan, plan
from cry_pipeline.settings import Settings
from cry_pipeline_tests.orchestration.installations import Installation

Call = Callable[..., tuple[int, str]]


def planned(installation: Installation) -> Plan:
    catalog = load_catalog(installation.settings.catalog)
    with installation.instance() as instance:
        return plan(installation.definitions, catalog, installation.settings, instance)


@pytest.fixture
def call(installation: Installation, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """A function that runs `cry-pipeline refresh` on the installation: exit code, and what it said."""
    for name in ("data", "catalog", "corpus", "workers", "batch_recordings", "accelerator"):
        monkeypatch.setenv(f"CRY_PIPELINE_{name.upper()}", str(getattr(installation.settings, name)))

    def run(*options: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["cry-pipeline", "refresh", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capfd.readouterr().out

    return run


def test_nothing_follows_where_nothing_was_changed(installation: Installation, call: Call) -> None:
    assert planned(installation).work == ()
    assert call() == (0, f"All {planned(installation).of} assets are current: nothing follows from a change.\n")


def test_a_changed_feature_set_and_all_that_follows_is_planned_inputs_first(installation: Installation) -> None:
    installation.edit_catalog("feature_sets", mel64_8k={"mels": 60})
    work = {item.key: item for item in planned(installation).work}
    changed, *others = work.values()
    assert (changed.name, changed.why) == ("features/mel64_8k", "other parameters or code")
    assert changed.amount.endswith(" recordings")
    assert {item.why for item in others} == {"follows"}
    names = [key.to_user_string() for key in work]
    for prefix in ("runs/", "evidence/", "reports/", "models/champion"):
        assert any(name.startswith(prefix) for name in names)
    # A model that reads no features, and what only the study makes, has nothing to do with it.
    assert not any("majority" in name or "temporal" in name for name in names)
    assert all(item.seconds is not None for item in work.values()), "all of it was made before"
    graph = installation.definitions.resolve_asset_graph()
    for place, key in enumerate(work):
        assert not graph.get(key).parent_keys & set(list(work)[place:])


def test_a_run_that_dagster_does_not_know_of_but_is_there_is_not_counted_as_training(
    installation: Installation,
) -> None:
    catalog = load_catalog(installation.settings.catalog)
    name = "cleaned_logistic_regression_donor_grouped"
    key = run_key(name, catalog)
    with installation.instance() as instance:
        instance.wipe_assets([key])
    first = planned(installation).work[0]
    assert first == (key, "never made", TRAINED_ALREADY, 0.0)
    (installation.settings.runs / name / "current.json").unlink()
    assert planned(installation).work[0].amount == "3 folds"


def test_what_follows_is_said_and_asked_for_in_one_go(
    installation: Installation, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.edit_catalog("models", logistic_regression={"inverse_regularisation": 0.5})
    before = planned(installation)
    asked = []

    def materialize(*given: object, **options: object) -> int:
        asked.append((*given[1:], options))
        return 7

    monkeypatch.setattr(launch, "materialize", materialize)
    status, said = call("--dry-run")
    assert (status, asked) == (0, [])
    assert "Nothing was made." in said
    assert {item.name for item in before.work if item.key.path[0] == "runs"} == {
        line.split()[0] for line in said.splitlines() if line.startswith("runs/")
    }
    assert f"{len(before.work)} of {before.of} assets, about " in said
    status, said = call("--wait", "3")  # nobody is asked where there is no terminal
    assert status == 0
    assert "7 assets materialized" in said
    options = {"wait_s": 3.0, "called": "cry-pipeline refresh"}
    assert asked == [(installation.settings, before.selection, options)]


def toys(**code_versions: str) -> list[dg.AssetsDefinition]:
    """Return assets a → b → c, d of the study, which needs b, and e alone; with other code versions as asked for."""

    def toy(name: str, deps: list[str], group: str = "toys") -> dg.AssetsDefinition:
        code_version = code_versions.get(name, "1")

        @dg.asset(name=name, deps=deps, group_name=group, code_version=code_version)
        def made() -> dg.MaterializeResult:
            return dg.MaterializeResult(data_version=dg.DataVersion(f"{name}{code_version}"))

        return made

    return [toy("a", []), toy("b", ["a"]), toy("c", ["b"]), toy("d", ["b"], STUDY), toy("e", [])]


def test_once_what_is_planned_was_made_all_is_current(settings: Settings) -> None:
    catalog = load_catalog()

    def left(assets: list[dg.AssetsDefinition]) -> Plan:
        return plan(dg.Definitions(assets=assets), catalog, settings, instance)

    with dg.DagsterInstance.ephemeral() as instance:
        new = left(toys())
        assert [(item.name, item.why, item.seconds) for item in new.work] == [
            (name, "never made", None) for name in ("a", "e", "b", "c")
        ]
        dg.materialize(toys(), instance=instance)
        assert left(toys()) == Plan((), 4)
        changed = toys(a="2", c="2")
        follows = left(changed)
        assert [(item.name, item.why) for item in follows.work] == [
            ("a", "other parameters or code"),
            ("b", "follows"),
            ("c", "other parameters or code"),
        ]
        assert not follows.unknown
        dg.materialize(changed, instance=instance, selection=follows.selection)
        assert left(changed) == Plan((), 4)
        dg.materialize(changed, instance=instance, selection='key:"a"')
        assert left(changed) == Plan((), 4), "made again, but of the same data"
        dg.materialize(toys(a="3", c="2"), instance=instance, selection='key:"a"')
        assert [(item.name, item.why) for item in left(toys(a="3", c="2")).work] == [
            ("b", "made of other a"),
            ("c", "follows"),
        ]
