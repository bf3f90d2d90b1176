"""The command: helpful to a newcomer, quick to answer, and clear when something is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cry_pipeline import cli
from cry_pipeline.catalog.loading import PACKAGED

COMMAND = str(Path(sys.executable).with_name("cry-pipeline"))
HEAVY = {"torch", "dagster", "pytorch_lightning", "librosa", "sklearn", "pandas", "matplotlib", "zarr", "av", "numpy"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, env=os.environ | environment, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["run", "ui", "corpus", "features", "leaderboard"]),
        (["run"], ["corpus → manifest → features", "--select"]),
        (["corpus"], ["get", "synth", "check"]),
        (["corpus", "synth"], ["--effect", "byte for byte"]),
        (["features"], ["list", "show"]),
        (["features", "show"], ["--plot"]),
        (["leaderboard"], ["majority rate"]),
        (["predict"], ["--json", "--bundle", "Not for diagnosis"]),
        (["champion"], ["show", "history", "rollback"]),
    ],
)
def test_help_says_what_a_command_does(arguments: list[str], said: list[str]):
    result = run(*arguments, "--help", COLUMNS="120", TERM="dumb")
    assert result.returncode == 0
    for words in said:
        assert words in result.stdout


def test_help_imports_nothing_heavy():
    script = f"import sys, cry_pipeline.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["leaderboard"], {}, "materialize it with `cry-pipeline run`"),
        (["champion", "show"], {}, "there is no champion"),
        (["champion", "history"], {}, "no champion yet"),
        (["champion", "rollback"], {}, "no champion"),
        (["predict", "x.wav"], {}, "make one with `cry-pipeline run`"),
        (["features", "show", "mel99"], {}, "no feature set 'mel99'; the catalog has babycare_22k"),
        (["features", "show", "mel64_8k", "--plot", "x.png"], {}, "no features of any recording are stored"),
        (["features", "list"], {"CRY_PIPELINE_WORKERS": "none"}, "CRY_PIPELINE_WORKERS"),
        (["features", "list"], {"CRY_PIPELINE_CATALOG": "nowhere"}, "cohorts.yaml: no such file"),
        (["corpus", "get"], {"CRY_PIPELINE_CORPUS": "nowhere"}, "nowhere"),
        (["corpus", "synth", "new", "--donors", "2"], {}, "donors"),
    ],
)
def test_error_is_said_in_a_sentence_without_traceback(
    arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, **environment)
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback():
    result = run("--debug", "leaderboard")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_features_of_another_catalog_are_listed_with_what_is_stored(tmp_path: Path):
    for path in PACKAGED.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    sets = yaml.safe_load((tmp_path / "feature_sets.yaml").read_text())
    sets["mine"] = sets["mel64_8k"] | {"hop_samples": 64}
    (tmp_path / "feature_sets.yaml").write_text(yaml.safe_dump(sets))
    result = run("features", "list", CRY_PIPELINE_CATALOG=str(tmp_path))
    row = next(line for line in result.stdout.splitlines() if line.split()[:1] == ["mine"])
    assert "256/64" in row
    assert "0.0 MB" in row


def test_corpus_is_generated_found_and_checked(tmp_path: Path):
    corpus = tmp_path / "corpus"
    made = run("corpus", "synth", str(corpus), "--donors", "8")
    assert made.returncode == 0, made.stderr
    found = run("corpus", "get", CRY_PIPELINE_CORPUS=str(corpus))
    assert found.stdout.strip() == str(corpus)
    assert "SYNTHETIC DATA" in found.stderr
    checked = run("corpus", "check", str(corpus))
    assert checked.returncode == 1
    assert "missing" in checked.stdout


def test_selection_that_names_nothing_is_an_error(tmp_path: Path):
    result = run("run", "--select", 'key:"features/mel99"', CRY_PIPELINE_CORPUS=str(tmp_path))
    assert result.returncode == 1
    assert "mel99" in result.stderr
    assert "Traceback" not in result.stderr


def test_leaderboard_names_metrics_as_the_reports_do():
    found = {"cohort": "curation", "model": "svm", "feature_set": "mel64_8k", "protocol": "donor_grouped"}
    found |= {"metric": "auc", "value": 0.946, "low": 0.923, "high": 0.967, "chance": 0.5, "accuracy": 0.883}
    found |= {"majority_rate": 0.501, "verdict": "above chance", "qualification": "donors on both sides"}
    row = cli._leaderboard_row(found)
    assert row["headline [95 % interval]"] == "AUC 0.946 [0.923, 0.967]"
    assert row["verdict"] == "above chance †"
