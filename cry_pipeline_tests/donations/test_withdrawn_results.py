"""A run goes if it saw the recording or may have; one that certainly did not stays."""

import pandas as pd
import pytest

from cry_pipeline.artefacts import write_json, write_table
from cry_pipeline.donations.withdrawn_results import remove_results, results_of
from cry_pipeline.training.run_keys import ROWS, folds_digest

GONE, IDS = "a" * 64, [letter * 64 for letter in "abcdef"]
RUN = "experiment/0123456789abcdef"


def folds(ids):
    rows = [
        {"repeat": 0, "fold": n % 2, "recording_id": name, "donor": name, "label": "cry"} for n, name in enumerate(ids)
    ]
    return pd.DataFrame(rows)[ROWS]


def write_run(settings, ids, *, number_of_folds=2, whole=True):
    """A run on ``ids``, with as many of its two folds; ``whole``: what each says of it can be read."""
    table = folds(ids)
    for fold in range(number_of_folds):
        home = settings.runs / RUN / f"fold-0-{fold}"
        home.mkdir(parents=True)
        tested = table[table["fold"] == fold]
        tested.to_parquet(home / "predictions.parquet")
        counts = {"train": {"recordings": len(table) - len(tested)}, "test": {"recordings": len(tested)}}
        made_from = {"inputs": {"folds": folds_digest(table)}}
        write_json(home / "provenance.json", {"digest": "0123456789abcdef" * 4, "made_from": made_from, **counts})
        if not whole:
            (home / "provenance.json").write_text("{}")
    return table


def saw(settings):
    return "run" in results_of(settings, [GONE]).paths.values()


@pytest.mark.parametrize(("ids", "expected"), [(IDS, True), (IDS[1:], False)])
@pytest.mark.parametrize("kept", [True, False])
def test_the_table_of_folds_tells_or_else_predictions_of_all_recordings(settings, ids, expected, kept):
    table = write_run(settings, ids)
    write_table(settings.folds / "cohort.parquet", table if kept else folds(["e" * 64]), "d")
    assert saw(settings) == expected


@pytest.mark.parametrize(("ids", "expected"), [(IDS, True), (IDS[1:], False)])
def test_an_unfinished_run_is_told_by_the_table_of_its_folds(settings, ids, expected):
    table = write_run(settings, ids[::-1], number_of_folds=1)  # the recording is in the fold that is not there
    write_table(settings.folds / "cohort.parquet", table, "d")
    assert saw(settings) == expected


def test_where_nothing_tells_the_run_goes(settings):
    write_run(settings, IDS[1:], number_of_folds=1)
    assert saw(settings)


def test_a_damaged_run_goes(settings):
    write_run(settings, IDS[1:], whole=False)
    assert saw(settings)


def test_nulls_evidence_bundles_and_scores_of_the_run_go_and_others_stay(settings):
    write_run(settings, IDS)
    kept = [
        settings.evidence / "experiment" / "b" / "evidence.json",
        settings.nulls / "experiment" / "b" / "null.json",
        settings.models / "champions" / "b" / "cry" / "provenance.json",
    ]
    gone = [
        settings.evidence / "other" / "a" / "evidence.json",
        settings.nulls / "other" / "a" / "null.json",
        settings.models / "champions" / "a" / "cry" / "provenance.json",
        settings.runs / "experiment" / ".fold-0-1-killed" / "checkpoint.safetensors",
    ]
    for path in kept:
        write_json(path, {"run": "f" * 64})
    for path in gone:
        write_json(path, {"shortcuts": [["x", "0123456789abcdef" * 4]]})
    for name in ("a.parquet", "b.parquet"):
        write_table(settings.donations / "scores" / name, pd.DataFrame(), "d")
    remove_results(settings, results_of(settings, [GONE]))
    assert not [path for path in gone if path.exists()]
    assert all(path.exists() for path in kept)
    assert [path.name for path in (settings.donations / "scores").iterdir()] == ["b.parquet"]
    assert not [path for path in settings.runs.rglob("*") if path.is_file()]
