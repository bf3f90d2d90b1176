"""Evidence: numbers, verdicts, refusals and files."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from cry_pipeline import keys
from cry_pipeline.artefacts import read_json, write_json
from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.evidence import (
    evaluate,
    evidence_digest,
    evidence_of_run,
    evidence_spec,
    read_evidence,
    write_evidence,
)
from cry_pipeline.evaluation.predictions import EvidenceError
from cry_pipeline.evaluation.records import Evidence, Interval, Provenance, verdict_of
from cry_pipeline.targets import Target

CRY = ("not_cry", "cry")
REASONS = ("hungry", "discomfort", "tired", "belly_pain", "burping")


@pytest.mark.parametrize(("target", "classes"), [("cry", CRY), ("reason", REASONS)])
def test_a_planted_effect_is_found_and_its_absence_too(predict, provenance, target: Target, classes) -> None:
    predictions, folds = predict(classes, effect=1.0)
    found = evaluate(predictions, classes, target, folds=folds, provenance=provenance())
    assert found.verdict == "above chance"
    predictions, folds = predict(classes, effect=0.0)
    nothing = evaluate(predictions, classes, target, folds=folds, provenance=provenance())
    assert nothing.verdict == "not distinguishable from chance"
    assert nothing.headline.low < nothing.chance < nothing.headline.high
    assert nothing.chance == 1 / len(classes)


def test_the_headline_is_auc_for_a_cry_and_uar_for_a_reason(predict, provenance) -> None:
    predictions, folds = predict(effect=1.0)
    cry = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance())
    reason = evaluate(predictions, CRY, "reason", folds=folds, provenance=provenance())
    assert cry.headline == cry.metrics["auc"] != reason.headline == reason.metrics["uar"]


def test_a_constant_answer_is_not_above_chance_however_narrow_its_interval(predict, provenance) -> None:
    predictions, folds = predict(REASONS, repeats=3)
    predictions[[f"p_{name}" for name in REASONS]] = [0.8, 0.05, 0.05, 0.05, 0.05]
    constant = evaluate(predictions, REASONS, "reason", folds=folds, provenance=provenance())
    assert constant.headline.low == pytest.approx(0.2)
    assert constant.verdict == "not distinguishable from chance"
    assert constant.metrics["accuracy"].value == pytest.approx(constant.majority_rate) == pytest.approx(0.2)
    assert constant.null.p_value == 1


def test_no_interval_goes_beyond_what_its_metric_can_come_to(predict, provenance) -> None:
    # Two trainings that came out far apart: Student's distribution with one degree of freedom goes very far.
    predictions, folds = predict(effect=1.0, repeats=2)
    second = predictions["repeat"] == 1
    predictions.loc[second, ["p_not_cry", "p_cry"]] = predictions.loc[second, ["p_cry", "p_not_cry"]].to_numpy()
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance())
    assert (found.headline.low, found.headline.high) == (0, 1)
    assert all(0 <= value.low <= value.high for value in found.metrics.values())
    assert all(value.high <= 1 for name, value in found.metrics.items() if name not in ("brier", "log_loss"))


def test_a_verdict_above_chance_asks_for_the_interval_and_for_the_null(predict, provenance) -> None:
    predictions, folds = predict(effect=1.0)
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), resamples=100)
    clear, null = Interval(value=0.7, low=0.51, high=0.8), 0.025
    assert verdict_of(clear, 0.5, null, found.probes) == "above chance"
    rounded = Interval(value=0.7, low=0.5 + 1e-12, high=0.8)
    assert verdict_of(rounded, 0.5, null, found.probes) == "not distinguishable from chance"
    chancy = 0.026
    assert verdict_of(clear, 0.5, chancy, found.probes) == "not distinguishable from chance"
    probe = found.probes[0].model_copy(update={"headline": clear, "p_adjusted": 0.001})
    assert verdict_of(clear, 0.5, null, [probe]) == "above chance", "clearly better than the probe"
    tie = probe.comparison.model_copy(update={"low": -0.01})
    explained = probe.model_copy(update={"comparison": tie})
    assert verdict_of(clear, 0.5, null, [probe, explained]) == "explained by a shortcut"
    assert verdict_of(clear, 0.5, chancy, [explained]) == "not distinguishable from chance"


def test_evidence_says_which_folds_it_is_of_whatever_their_order(predict, provenance) -> None:
    def of(seed: int, effect: float) -> Evidence:
        predictions, folds = predict(effect=effect, seed=seed)
        folds = folds.sample(frac=1, random_state=0)
        return evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), resamples=100)

    assert of(0, 1.0).folds_digest == of(0, 0.5).folds_digest
    assert of(0, 1.0).folds_digest != of(1, 1.0).folds_digest


def test_values_are_means_over_repeats_of_scikit_learns(predict, provenance) -> None:
    predictions, folds = predict(effect=0.7, repeats=3)
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance())
    repeats = [own for _, own in predictions.groupby("repeat")]
    uar = [sk.balanced_accuracy_score(own["label"] == "cry", own["p_cry"] > 0.5) for own in repeats]
    precision = [sk.average_precision_score(own["label"] == "cry", own["p_cry"]) for own in repeats]
    assert found.metrics["uar"].value == pytest.approx(np.mean(uar))
    assert found.metrics["average_precision"].value == pytest.approx(np.mean(precision))
    guess = np.where(predictions["p_cry"] > 0.5, "cry", "not_cry")
    assert found.confusion == tuple(map(tuple, sk.confusion_matrix(predictions["label"], guess, labels=CRY)))
    assert (found.repeats, found.folds, found.recordings, found.donors) == (3, 5, 180, 60)
    assert len(found.roc) == 15
    assert all(interval.low <= interval.value <= interval.high for interval in found.metrics.values())


def test_repeats_are_no_new_donors(predict, provenance) -> None:
    predictions, folds = predict(effect=0.7)
    once = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance())
    copies = pd.concat([predictions.assign(repeat=repeat) for repeat in range(3)], ignore_index=True)
    again = evaluate(copies, CRY, "cry", folds=copies.iloc[:, :5], provenance=provenance())
    assert again.metrics["auc"].low == pytest.approx(once.metrics["auc"].low)


def test_per_class_recall_comes_with_its_support(predict, provenance) -> None:
    predictions, folds = predict(REASONS, effect=1.0)
    found = evaluate(predictions, REASONS, "reason", folds=folds, provenance=provenance())
    tired = found.per_class["tired"]
    own = predictions[predictions["label"] == "tired"]
    hits = own[[f"p_{name}" for name in REASONS]].idxmax(axis=1) == "p_tired"
    assert (tired.recordings, tired.donors) == (36, 12)
    assert tired.recall is not None
    assert tired.recall.value == pytest.approx(hits.mean())
    assert tired.recall.low < tired.recall.value < tired.recall.high


def test_a_class_absent_from_the_truth_is_said_and_raises_chance(predict, provenance) -> None:
    predictions, folds = predict(CRY, effect=1.0)
    predictions["p_whale"] = 0.0
    found = evaluate(predictions, (*CRY, "whale"), "reason", folds=folds, provenance=provenance())
    assert found.absent_classes == ("whale",)
    assert found.per_class["whale"].recall is None
    assert found.chance == 0.5
    assert found.metrics["uar"].value > 0.6


def test_a_clip_level_protocol_is_never_evidence_about_new_babies(predict, provenance) -> None:
    predictions, folds = predict(effect=2.0)
    for table in (predictions, folds):
        table["fold"] = np.arange(len(table)) % 5
    clips = provenance(protocol="clip_stratified", keeps_donors_apart=False)
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=clips)
    assert found.shared_donors == 60
    assert found.verdict == "explained by a shortcut", "each donor has one label, and others of its recordings trained"
    assert found.sentence.endswith(
        "explained by a shortcut: donor identity alone reaches 1.000; donors on both sides of the split: not evidence "
        "about new babies"
    )
    with pytest.raises(EvidenceError, match="60 donors are on both sides of a split though protocol donor_grouped"):
        evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance())


def test_resamples_without_a_class_are_counted(predict, provenance) -> None:
    predictions, folds = predict(donors=10, effect=1.0)
    for table in (predictions, folds):
        table.loc[table["donor"] > "donor001", "label"] = "not_cry"
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance())
    missed = 2 * 0.9**10 - 0.8**10  # one donor has the class; it, or the only other donor of its fold, is not drawn
    assert found.resamples_lost == pytest.approx(1000 * missed, abs=50)
    assert found.resamples == 1000


@pytest.mark.parametrize("fault", ["one donor", "folds of one class"])
def test_no_interval_is_invented_where_resampling_cannot_give_one(predict, provenance, fault: str) -> None:
    predictions, folds = predict(donors=10, effect=1.0)
    for table in (predictions, folds):
        if fault == "one donor":
            table["donor"], table["fold"] = "donor000", 0
        else:
            table["fold"] = (table["label"] == "cry").astype(int)
    with pytest.raises(EvidenceError, match="more donors per class"):
        evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance())


def test_too_few_resamples_are_refused(predict, provenance) -> None:
    predictions, folds = predict()
    with pytest.raises(EvidenceError, match="draw at least 100"):
        evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), resamples=99)


def test_evidence_survives_its_file_and_the_seed_decides(predict, provenance, tmp_path: Path) -> None:
    predictions, folds = predict(REASONS, effect=1.0)
    first, again, other = (
        evaluate(predictions, REASONS, "reason", folds=folds, provenance=provenance(), seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other
    path = write_evidence(first, tmp_path / "a")
    assert read_evidence(tmp_path / "a") == first
    assert list((tmp_path / "a").iterdir()) == [path]


def test_a_file_that_contradicts_itself_is_refused(predict, provenance, tmp_path: Path) -> None:
    predictions, folds = predict(effect=0.0)
    path = write_evidence(evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance()), tmp_path)
    write_json(path, read_json(path) | {"verdict": "above chance"})
    with pytest.raises(EvidenceError, match=r"evidence.json: not evidence .*does not follow from auc.*made again"):
        read_evidence(tmp_path)


def damages(whole: bytes) -> dict[str, bytes]:
    """Return what a disk, a crash or a hand may make of the file."""
    flipped = bytearray(whole)
    flipped[whole.index(b'"accuracy"') + 30] ^= 1
    return {
        "flipped": bytes(flipped),
        "another figure": whole.replace(b'"value": 0.', b'"value": 0.9', 1),
        "torn": whole[: len(whole) // 2],
        "empty": b"",
        "a list": b"[]",
        "binary": b"\xff\x00",
        "not a number": b'{"digest": NaN}',
    }


@pytest.mark.parametrize("damage", damages(b'"accuracy"' + bytes(40)))
def test_damaged_evidence_is_noticed_and_made_again(predict, provenance, tmp_path: Path, caplog, damage: str) -> None:
    predictions, folds = predict(effect=1.0)
    given = {"folds": folds, "root": tmp_path, "provenance": provenance(), "resamples": 100}
    first, _ = evidence_of_run(predictions, CRY, "cry", **given)
    (path,) = tmp_path.rglob("evidence.json")
    whole = path.read_bytes()
    path.write_bytes(damages(whole)[damage])
    assert path.read_bytes() != whole
    with pytest.raises(EvidenceError, match="is not what was written: it is made again when its evidence"):
        read_evidence(path.parent)
    again, reused = evidence_of_run(predictions, CRY, "cry", **given)
    assert not reused
    assert again == first
    assert path.read_bytes() == whole
    assert "is not what was written" in caplog.text


def test_evidence_of_another_digest_is_not_taken_for_it(predict, provenance, tmp_path: Path) -> None:
    predictions, folds = predict(effect=1.0)
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), resamples=100)
    write_evidence(found, tmp_path)
    assert read_evidence(tmp_path, found.digest) == found
    with pytest.raises(EvidenceError, match=rf"is the evidence of {found.digest[:16]}, not of ccc"):
        read_evidence(tmp_path, "c" * 64)


def test_writers_of_one_evidence_all_end_and_readers_see_it_whole(predict, provenance, tmp_path: Path) -> None:
    predictions, folds = predict(effect=1.0)
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), resamples=100)

    def write_and_read(_: int) -> bool:
        write_evidence(found, tmp_path)
        return read_evidence(tmp_path, found.digest) == found

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write_and_read, range(64)))
    assert [path.name for path in tmp_path.iterdir()] == ["evidence.json"]


def test_equal_digests_reuse_evidence_and_a_new_run_does_not(predict, provenance, tmp_path: Path) -> None:
    predictions, folds = predict(effect=1.0)
    given = {"folds": folds, "root": tmp_path}
    first, reused = evidence_of_run(predictions, CRY, "cry", provenance=provenance(), **given)
    assert not reused
    unread, reused = evidence_of_run(
        predictions.iloc[:0], CRY, "cry", provenance=provenance(details={"gpu": 1}), **given
    )
    assert reused, "details such as the device do not change evidence"
    assert unread == first
    _, reused = evidence_of_run(predictions, CRY, "cry", provenance=provenance(run_digest="c" * 64), **given)
    assert not reused
    folders = sorted(path.name for path in (tmp_path / "curation_lr_grouped").iterdir())
    assert first.digest[:16] in folders
    assert len(folders) == 2


def test_everything_that_changes_evidence_changes_its_digest(provenance, monkeypatch: pytest.MonkeyPatch) -> None:
    base = evidence_digest(provenance(), CRY, "cry")
    others = [
        evidence_digest(provenance(run_digest="c" * 64), CRY, "cry"),
        evidence_digest(provenance(sources=("synthetic",)), CRY, "cry"),
        evidence_digest(provenance(), CRY[::-1], "cry"),
        evidence_digest(provenance(), CRY, "reason"),
        evidence_digest(provenance(), CRY, "cry", resamples=2000),
        evidence_digest(provenance(), CRY, "cry", seed=1),
    ]
    for change in ({"revision": keys.STAGES["evidence"].revision + 1}, {"libraries": ("numpy", "pandas")}):
        monkeypatch.setitem(keys.STAGES, "evidence", dataclasses.replace(keys.STAGES["evidence"], **change))
        others.append(evidence_digest(provenance(), CRY, "cry"))
    assert len({base, *others}) == len(others) + 1


def test_provenance_takes_its_names_from_the_catalog() -> None:
    given = {"run_digest": "a", "feature_digest": "b", "sources": ("synthetic",), "details": {"torch": "2.9"}}
    found = Provenance.of("cleaned_majority_clip_stratified", load_catalog(), **given)
    assert (found.cohort, found.model, found.protocol, found.keeps_donors_apart) == (
        "cleaned",
        "majority",
        "clip_stratified",
        False,
    )
    assert found.details == {"torch": "2.9"}


def test_evidence_refuses_numbers_that_are_none(predict, provenance) -> None:
    predictions, folds = predict(effect=1.0)
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance()).model_dump()
    found["majority_rate"] = float("nan")
    with pytest.raises(ValueError, match="majority_rate"):
        Evidence.model_validate(found)


def test_files_and_digests_hold_the_first_name_of_what_keeps_donors_apart(evidence, provenance, tmp_path: Path) -> None:
    stored = json.loads(write_evidence(evidence("a"), tmp_path).read_text(encoding="utf-8"))
    assert stored["provenance"]["grouped"] is True
    assert read_evidence(tmp_path).provenance.keeps_donors_apart
    assert evidence_digest(provenance(), ("not_cry", "cry"), "cry") == keys.key(
        "evidence",
        evidence_spec(("not_cry", "cry"), "cry"),
        {
            "experiment": "curation_lr_grouped",
            "cohort": "curation",
            "feature_set": "mel64_8k",
            "model": "logistic_regression",
            "protocol": "donor_grouped",
            "protocol_kind": "donor_grouped",
            "grouped": True,
            "listens": True,
            "seed": 0,
            "run_digest": "a" * 64,
            "feature_digest": "b" * 64,
            "sources": ["donateacry_android"],
            "shortcuts": {},
            "null": "",
            "told": "",
        },
    )
