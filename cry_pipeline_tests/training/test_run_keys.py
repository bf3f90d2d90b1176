"""The UI calls a run stale for what its cache would make anew, as far as that is known without the data."""

import subprocess
import sys
from dataclasses import replace

import pytest

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog, EnsembleSpec
from cry_pipeline.training import run_keys
from cry_pipeline.training.registry import MODELS, Registered
from cry_pipeline.training.run_keys import code_spec, run_code_version, run_parts, stage_of
from cry_pipeline_tests.training.made_up import NETWORK, REGRESSION, make_folds_frame, run_digest


@pytest.mark.parametrize("name", [REGRESSION, NETWORK])
def test_a_runs_key_is_its_code_version_and_the_data(name: str, catalog: Catalog) -> None:
    experiment = catalog.experiments[name]
    parts = run_parts(experiment, catalog, make_folds_frame(), "f")
    inputs = parts.pop("inputs")
    stage = stage_of(catalog.models[experiment.model])
    assert parts == keys.code_parts(stage, code_spec(experiment, catalog))
    assert run_code_version(experiment, catalog) == keys.code_version(stage, code_spec(experiment, catalog))
    assert keys.key(stage, code_spec(experiment, catalog), inputs) == run_digest(
        experiment, catalog, make_folds_frame(), "f"
    )


def test_libraries_are_those_that_fit_the_model(catalog: Catalog) -> None:
    ensemble = catalog.models["lfeb_and_svm_covariance"]
    assert isinstance(ensemble, EnsembleSpec)
    networks = ensemble.model_copy(update={"specs": ensemble.specs[:2]})
    machines = ensemble.model_copy(update={"specs": ensemble.specs[2:]})
    models = [*(catalog.models[name] for name in ("svm", "lfeb_attention_lstm")), ensemble, networks, machines]
    learning, deep = {"scikit-learn"}, {"pytorch-lightning", "torch"}
    assert [set(keys.STAGES[stage_of(model)].libraries) for model in models] == [
        learning,
        deep,
        learning | deep,
        deep,
        learning,
    ]


def test_the_copies_recipe_is_in_the_code_version_where_copies_are_made(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["cleaned_logistic_regression_augment_then_split", "cleaned_majority_augment_then_split", REGRESSION]
    before = [run_code_version(catalog.experiments[name], catalog) for name in names]
    monkeypatch.setattr(run_keys, "COPIES_REVISION", 99)
    after = [run_code_version(catalog.experiments[name], catalog) for name in names]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True]


def test_a_members_revision_makes_an_ensemble_stale(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = catalog.experiments[REGRESSION].model_copy(update={"model": "lfeb_and_svm_covariance"})
    before = run_code_version(ensemble, catalog)
    monkeypatch.setitem(MODELS, "svm", Registered("99", MODELS["svm"].make))
    assert run_code_version(ensemble, catalog) != before


def test_the_stages_of_runs_have_one_revision() -> None:
    stages = [stage for name, stage in keys.STAGES.items() if name.startswith("run_")]
    assert {replace(stage, libraries=()) for stage in stages} == {replace(stages[0], libraries=())}


def test_code_versions_are_told_without_torch_and_scikit_learn() -> None:
    code = (
        "import sys; from cry_pipeline.catalog import load_catalog; from cry_pipeline.training import run_keys;"
        "c = load_catalog(); [run_keys.run_code_version(e, c) for e in c.experiments.values()];"
        "sys.exit(', '.join({'torch', 'sklearn', 'requests'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
