"""The command that compares: two names are enough, and what cannot be compared is said with what can."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.command.compare import compare
from cry_pipeline.evaluation.kept_runs import KeptRun
from cry_pipeline.features.kinds import feature_set_digest

SVM, REGRESSION = "curation_svm_covariance_donor_grouped", "curation_logistic_regression_donor_grouped"
OTHER_SET = f"{REGRESSION}_mel128_8k"
EARLIER = "2025-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def folder(kept_in: Callable[[Path], Callable[..., KeptRun]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with runs of the packaged catalog's experiments, and some of before."""
    made = tmp_path_factory.mktemp("data")
    kept, sets = kept_in(made), load_catalog().feature_sets
    low, high = (
        {"feature_set": name, "feature_digest": feature_set_digest(sets[name])} for name in ("mel64_8k", "mel128_8k")
    )
    kept(SVM, "a" * 64, effect=1.5, names=low | {"model": "svm_covariance"}, parts={"width": 6}, current=True)
    kept(SVM, "b" * 64, effect=0.2, names=low | {"model": "svm_covariance"}, parts={"width": 10}, started_at=EARLIER)
    kept(REGRESSION, "c" * 64, effect=0.8, names=low, current=True)
    kept(OTHER_SET, "d" * 64, effect=0.8, names=high, current=True)
    kept(OTHER_SET, "e" * 64, effect=0.2, names=high | {"feature_digest": "9" * 64}, started_at=EARLIER)
    return made


@pytest.fixture
def said(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command and returns what it says, with single spaces."""
    monkeypatch.setenv("CRY_PIPELINE_DATA", str(folder))

    def run(*names: str) -> str:
        compare(*names)
        return re.sub(r"[\s─]+", " ", capsys.readouterr().out)

    return run


def test_a_run_is_held_against_what_it_was_before(said: Callable[..., str]) -> None:
    words = said(SVM)
    first = (
        rf"first: {SVM}@aaaaaaaa, trained 2026-01-01 00:00 UTC: AUC 0\.\d+ \[0\.\d+, 0\.\d+\], by itself above chance"
    )
    assert re.search(first, words)
    assert f"second: {SVM}@bbbbbbbb, trained 2025-01-01 00:00 UTC" in words
    assert "log-loss (less is better) " in words
    assert "AUC: the first run is better (p = 0.002" in words
    assert "what differs first second model.width 6 10" in words
    assert words == said(f"{SVM}@aaaa", f"{SVM}@before")


def test_two_runs_of_two_models_are_told_apart_by_name(said: Callable[..., str]) -> None:
    words = said(REGRESSION, SVM)
    assert "AUC: the first run is worse" in words
    assert "model logistic_regression svm_covariance" in words
    assert "model.width" in words


def test_feature_sets_are_compared_by_the_models_that_heard_both(said: Callable[..., str]) -> None:
    words = said("mel64_8k", "mel128_8k")
    assert "mel64_8k and mel128_8k" in words
    assert "logistic_regression AUC" in words
    assert "+0.000 [+0.000, +0.000] 1.000, 1.000 no difference shown" in words
    assert "first is better" in said("mel128_8k"), "than what it was before"
    assert "mel128_8k@9999 and mel64_8k" in said("mel128_8k@9999", "mel64_8k")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((REGRESSION,), "no earlier run on the recordings and folds of now"),
        (("curation_svm_covarianc",), "There is no experiment"),
        (
            ("mel64_8k",),
            "no runs with feature set mel64_8k@before on the folds of now; of mel64_8k there are: mel64_8k@",
        ),
        (("mel64_8k", "mel99"), "no feature set 'mel99'; the catalog has babycare_22k"),
    ],
)
def test_what_cannot_be_compared_is_said(said: Callable[..., str], names: tuple[str, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        said(*names)
