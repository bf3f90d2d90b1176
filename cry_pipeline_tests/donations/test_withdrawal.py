"""Who is withdrawn is nowhere any more, what is not theirs stays, and what was begun is gone on with."""

import json
import shutil

import pytest

from cry_pipeline.artefacts import read_table
from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.judgements import Judgement, add_judgement, now
from cry_pipeline.corpus.tombstones import read_tombstones
from cry_pipeline.donations import withdrawal
from cry_pipeline.inference.champions import ChampionError, current
from cry_pipeline.orchestration.forgetting import records_of
from cry_pipeline_tests.orchestration.installations import ODD

DONATED = ODD[:36]


def withdraw(settings, donors=(), recordings=(), *, change=True):
    specs = list(load_catalog(settings.catalog).feature_sets.values())
    with records_of(settings) as records:
        return withdrawal.withdraw(settings, specs, records, donors, recordings, change=change, reason="moved abroad")


def verify(settings, donors=(), recordings=()):
    with records_of(settings) as records:
        return withdrawal.verify(settings, records, donors, recordings)


@pytest.fixture
def manifest(installation):
    return read_table(installation.settings.manifests / "recordings.parquet")


def test_a_donation_that_nobody_learned_from_goes_and_no_model_with_it(installation, manifest):
    settings = installation.settings
    (recording,) = manifest.loc[manifest["donor"] == DONATED, "recording_id"]
    judgement = Judgement(recording_id=recording, verdict="cry", who="Anna", at=now())
    add_judgement(settings.judgements, judgement)
    before = verify(settings, [DONATED])
    assert {hit.what for hit in before} >= {"donor", "recording", "hash"}
    assert any(hit.place.endswith("index.db") for hit in before)  # an event tells which file was refused
    champion = current(settings.models)
    planned = withdraw(settings, [DONATED], change=False)
    done = withdraw(settings, [DONATED])
    assert [item.place for item in planned.done] == [item.place for item in done.done]
    assert done.left == []
    assert verify(settings, [DONATED], [recording]) == verify(settings) == []
    stone = read_tombstones(settings.withdrawn, settings.secret).of(recording, None)
    assert stone is not None
    assert stone.reason == "moved abroad"
    assert current(settings.models) == champion
    left = read_table(settings.manifests / "recordings.parquet")
    assert set(manifest["recording_id"]) - set(left["recording_id"]) == {recording}
    assert list(settings.judgements.glob("*.json")) == []
    assert not any(place.startswith("runs/") for place in (item.place for item in done.done))


def test_of_whom_models_learned_they_go_with_all_that_rests_on_them_and_others_stay(installation, manifest):
    settings = installation.settings
    of_corpus = manifest[manifest["root"] == "corpus"]
    donor = of_corpus.loc[of_corpus["processing"] == "raw", "donor"].mode()[0]
    before = {path.name for path in settings.runs.iterdir()}
    done = withdraw(settings, [donor])
    assert done.left == []
    assert any("is only read" in sentence for sentence in done.out_of_reach)
    gone = {item.place.split("/")[1] for item in done.done if item.what == "run removed"}
    assert any(name.startswith("curation_svm_covariance") for name in gone)
    assert "curation_lfeb_attention_lstm_donor_grouped" in gone
    assert before - gone == {path.name for path in settings.runs.iterdir() if any(path.glob("*/fold-*"))}
    assert [path for path in settings.evidence.rglob("evidence.json") if path.parts[-3] in gone] == []
    assert [path for path in settings.reports.rglob("*") if path.is_file()] == []
    with pytest.raises(ChampionError, match="no champion"):
        current(settings.models)


def test_killed_anywhere_the_next_call_goes_on_though_the_tables_know_nothing_any_more(
    installation, manifest, monkeypatch
):
    settings = installation.settings
    (recording,) = manifest.loc[manifest["donor"] == DONATED, "recording_id"]

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(withdrawal, "withdraw_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            withdraw(settings, [DONATED])
    shutil.rmtree(settings.manifests)
    assert recording in withdrawal.unfinished(settings).recordings
    assert withdraw(settings).left == []
    assert verify(settings, [DONATED], [recording]) == []
    assert withdrawal.unfinished(settings) == withdrawal.NOTHING


def test_what_cannot_be_removed_is_said_and_remembered(installation):
    settings = installation.settings
    (settings.data / "notes.txt").write_text(f"remember {DONATED}")
    done = withdraw(settings, [DONATED])
    assert [(hit.place, hit.what) for hit in done.left] == [(str(settings.data / "notes.txt"), "donor")]
    assert DONATED in json.dumps(withdrawal.unfinished(settings).content())
    (settings.data / "notes.txt").unlink()
    assert withdraw(settings).left == []


def test_a_withdrawal_of_somebody_unknown_leaves_a_tombstone_and_nothing_else(settings):
    donor = "0a1b2c3d-0000-4000-8000-00000000000a"
    done = withdraw(settings, [donor])
    assert (done.done, done.left) == ([], [])
    assert read_tombstones(settings.withdrawn, settings.secret).of(None, donor) is not None
    assert not settings.dagster_home.exists()
