"""Review: who is asked for what, blindly, once; and what they answer."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cry_pipeline.artefacts import read_table, write_table
from cry_pipeline.catalog import Catalog, load_catalog
from cry_pipeline.corpus.judgements import JudgementError, latest_of_each, now, read_judgements
from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.donations.review import judge, progress, queue, undo
from cry_pipeline.donations.samples import Drawn, Sample, write_sample
from cry_pipeline.secret import keyed_hash, read_secret
from cry_pipeline.settings import Settings
from cry_pipeline_tests.reports.test_manifest_page import recording

CATALOG = load_catalog()
DECISIONS = ["person", "person", "taken", "set_aside"]
AUDITED = [False, False, True, False]


def ids(*numbers: int) -> set[str]:
    return {recording(number)["recording_id"] for number in numbers}


@pytest.fixture
def donated(settings: Settings) -> Settings:
    """Four donations, 0 and 1 for a person, 2 drawn for audit, 3 set aside; 4 is of the corpus."""
    rows = [recording(number, number, root="archive", source="inbox") for number in range(4)] + [recording(4)]
    RECORDINGS.write(settings.manifests / "recordings.parquet", RECORDINGS.table_of(rows), "digest")
    triaged(settings)
    return settings


def triaged(settings: Settings) -> None:
    rows = {
        "recording_id": [recording(number)["recording_id"] for number in range(4)],
        "decision": DECISIONS,
        "audit": AUDITED,
    }
    write_table(settings.donations / "triage.parquet", pd.DataFrame(rows), "digest")


def sampled(settings: Settings, *numbers: int) -> None:
    drawn = [
        Drawn(recording_id=recording(number)["recording_id"], donor="d", label="cry", score=0.1, why="random", weight=2)
        for number in numbers
    ]
    sample = Sample(name="may", at=now(), experiment="e", run="r", seed=0, recordings=9, drawn=tuple(drawn))
    write_sample(settings.judgements, sample)


def asked(settings: Settings, who: str = "Ann", catalog: Catalog = CATALOG) -> set[str]:
    return {each.recording_id for each in queue(settings, catalog, who)}


def say(settings: Settings, number: int, verdict: str, who: str = "Ann", **more: Any) -> str:
    (recording_id,) = ids(number)
    return judge(settings, recording_id, verdict, **{"who": who, "heard_s": 1.0, "origin": "page"} | more)


def test_a_person_is_shown_what_triage_leaves_open_and_what_is_drawn_for_audit(donated: Settings) -> None:
    assert asked(donated) == ids(0, 1, 2)
    (donated.donations / "triage.parquet").unlink()
    assert asked(donated) == ids(0, 1, 2, 3), "without triage all are for a person"


def test_the_order_is_other_for_each_person_and_always_the_same_for_one(donated: Settings) -> None:
    (donated.donations / "triage.parquet").unlink()
    orders = {who: [each.recording_id for each in queue(donated, CATALOG, who)] for who in "ABCDEFGH"}
    assert len({tuple(order) for order in orders.values()}) > 1
    secret = read_secret(donated.secret)
    for who, order in orders.items():
        assert order == sorted(order, key=lambda each: keyed_hash(secret, "review", f"{who}\0{each}"))


def test_nobody_is_asked_twice_and_two_people_only_for_the_audit(donated: Settings) -> None:
    say(donated, 0, "cry")
    say(donated, 2, "not_cry")
    assert asked(donated, "Ann") == ids(1)
    assert asked(donated, "Ben") == ids(1, 2)
    say(donated, 2, "not_cry", "Ben")
    assert asked(donated, "Cleo") == ids(1)
    assert progress(donated, CATALOG, "Ann") == (2, 1)


def test_where_all_must_agree_two_people_hear_each(donated: Settings) -> None:
    agreed = CATALOG.model_copy(
        update={
            "donations": CATALOG.donations.model_copy(
                update={"judgements": CATALOG.donations.judgements.model_copy(update={"rule": "agreed"})}
            )
        }
    )
    say(donated, 0, "cry")
    assert asked(donated, "Ben", agreed) == ids(0, 1, 2)


def test_what_may_only_be_kept_is_heard_by_nobody(donated: Settings) -> None:
    path = donated.manifests / "recordings.parquet"
    table = read_table(path)
    kept = table["recording_id"].isin(list(ids(0)))
    RECORDINGS.write(path, table.assign(consent_scope=table["consent_scope"].mask(kept, "archive")), "digest")
    assert asked(donated) == ids(1, 2)
    with pytest.raises(JudgementError, match="neither a donation"):
        say(donated, 0, "cry")


def test_everybody_hears_a_sample_among_the_donations(donated: Settings) -> None:
    sampled(donated, 4)
    say(donated, 4, "cry", "Ben", sample="may")
    assert {each.sample for each in queue(donated, CATALOG, "Ann")} == {None, "may"}
    assert asked(donated, "Ann") == ids(0, 1, 2, 4)
    assert asked(donated, "Ben") == ids(0, 1, 2)


def test_what_was_judged_last_is_taken_back_and_asked_again(donated: Settings) -> None:
    say(donated, 0, "cry", "Ben")
    say(donated, 0, "cry")
    say(donated, 1, "not_cry")
    assert {undo(donated, "Ann")} == ids(1)
    assert asked(donated) == ids(1, 2)
    assert {undo(donated, "Ann")} == ids(0)
    assert undo(donated, "Ann") is None
    (left,) = latest_of_each(read_judgements(donated.judgements)).itertuples()
    assert left.who == "Ben", "only one's own judgements are taken back"


@pytest.mark.parametrize(
    ("number", "verdict", "more", "said"),
    [
        (0, "retracted", {}, "is no verdict"),
        (0, "not_cry", {"reason": "hungry"}, "has no reason"),
        (0, "cry", {"reason": "bored"}, "reason"),
        (0, "cry", {"heard_s": -1.0}, "heard_s"),
        (0, "cry", {"heard_s": float("nan")}, "heard_s"),
        (0, "cry", {"who": "\n"}, "who"),
        (0, "cry", {"sample": "june"}, "no sample 'june'"),
        (4, "cry", {}, "neither a donation"),
        (9, "cry", {}, "neither a donation"),
    ],
)
def test_what_is_no_judgement_is_refused_in_words(
    donated: Settings, number: int, verdict: str, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(JudgementError, match=said):
        say(donated, number, verdict, **more)
    assert not Path(donated.judgements).exists()
