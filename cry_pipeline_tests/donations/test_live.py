"""Live evidence: what counts, what does not, and that numbers are those of all donations, not of what was heard."""

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.corpus.judgements import COUNTING
from cry_pipeline.donations.live import Counted, counted_of, decided, live, weeks
from cry_pipeline.donations.triage import TRIAGE
from cry_pipeline.inference.champions import promotion

FIRST, SECOND = "a" * 64, "b" * 64
MONDAY = pd.Timestamp("2026-01-05", tz="UTC")


def donation(number: int, **other: object) -> dict[str, object]:
    """Return a row as ``decided`` makes it: a donor each, hour by hour from a Monday on, shown to a person."""
    return {
        "recording_id": f"{number:064x}",
        "bundle": FIRST,
        "score": 0.5,
        "by_one": 0.5,
        "decision": "person",
        "audit": False,
        "lower": 0.1,
        "upper": 0.9,
        "donor": f"d{number}",
        "arrived_at": MONDAY + pd.Timedelta(hours=number),
        "verdict": None,
    } | other


def table(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def out_of_fold(recordings: list[str]) -> pd.DataFrame:
    cry = np.arange(len(recordings)) % 2 == 0
    return pd.DataFrame(
        {"recording_id": recordings, "donor": recordings, "fold": 0, "cry": cry, "score": np.where(cry, 0.9, 0.1)}
    )


def events() -> list:
    made = []
    for digest, at in ((FIRST, "2026-01-01T00:00:00+00:00"), (SECOND, "2026-02-01T00:00:00+00:00")):
        made.append(promotion(digest, None, {"cry": {}}, []).model_copy(update={"at": at}))
    return made


def test_what_triage_decided_counts_only_where_the_audit_drew_it() -> None:
    rows = table(
        donation(0, decision="taken", audit=True, verdict="cry"),
        donation(1, decision="taken", audit=False, verdict="not_cry"),
        donation(2, decision="taken", audit=True, verdict="cry"),
        donation(3, decision="set_aside", audit=True, verdict="not_cry"),
        donation(4, verdict="cry"),
        donation(5),
    )
    found = live(rows, events(), {})
    assert (found.asked, found.heard, found.work_saved) == (5, 4, pytest.approx(1 / 6))
    assert (found.taken_right.value, found.taken_right.heard) == (1.0, 2), "somebody looked the other up"


def test_numbers_are_of_all_donations() -> None:
    """Of 100 set aside ten were heard, one of them a cry; of 20 left to a person all, half of them cries."""
    aside = [
        donation(
            n,
            decision="set_aside",
            score=0.05,
            audit=n < 10,
            verdict=("cry" if n == 0 else "not_cry") if n < 10 else None,
        )
        for n in range(100)
    ]
    persons = [donation(100 + n, verdict="cry" if n % 2 else "not_cry") for n in range(20)]
    found = live(table(*aside, *persons), events(), {})
    assert found.set_aside_right.value == pytest.approx(0.9)
    assert found.recall.value == pytest.approx(10 / 20), "ten were found, ten of a hundred were set aside"
    assert found.recall.low is not None
    assert found.recall.high is not None
    assert found.recall.low < 0.5 < found.recall.high
    assert found.decisions == {"taken": 0, "set_aside": 100, "person": 20}


def test_what_nobody_can_tell_is_no_mistake() -> None:
    rows = table(
        donation(0, decision="set_aside", audit=True, verdict="unusable"),
        donation(1, decision="set_aside", audit=True, verdict="not_cry"),
        donation(2, decision="set_aside"),
        donation(3, decision="set_aside"),
        donation(4, verdict="cry"),
    )
    found = live(rows, events(), {})
    assert (found.unusable, found.set_aside_right.value, found.set_aside_right.heard) == (1, 1.0, 1)
    assert found.recall.value == 1.0


def test_a_side_of_which_nothing_was_heard_is_said_and_not_guessed() -> None:
    rows = table(donation(0, decision="set_aside"), *[donation(n, verdict="cry") for n in range(1, 20)])
    found = live(rows, events(), {})
    assert found.auc.value is None
    assert found.auc.why == "nobody has heard any yet of what was set aside"
    assert found.recall.value is None
    assert found.set_aside_right.why == "nobody has heard one yet"


def test_a_champion_is_not_measured_on_what_it_learned_from() -> None:
    rows = table(donation(0), donation(1, bundle=SECOND), donation(2, bundle=SECOND))
    known = {FIRST: out_of_fold(["x", "y"]), SECOND: out_of_fold([f"{n:064x}" for n in (0, 1)])}
    counted, learned = counted_of(rows, known)
    assert (counted.rows["recording_id"].tolist(), learned) == ([f"{n:064x}" for n in (0, 2)], 1)
    assert live(rows, events(), known).learned == 1


def test_champions_come_with_what_they_decided_the_latest_first() -> None:
    rows = table(
        *[donation(n, score=0.9 if n % 2 else 0.1, verdict="cry" if n % 2 else "not_cry") for n in range(12)],
        donation(20, bundle=SECOND, decision="taken", upper=float("nan")),
    )
    second, first = live(rows, [*events(), events()[0]], {FIRST: out_of_fold(["x", "y"])}).champions
    assert (first.digest, first.donations, first.decided, first.auc.value, first.expected) == (FIRST, 12, 0, 1.0, 1.0)
    assert first.since == "2026-01-01T00:00:00+00:00", "also where it came back later"
    assert (second.donations, second.decided, second.upper, second.expected) == (1, 1, None, None)


def test_weeks_begin_on_monday_and_the_latest_is_the_first() -> None:
    rows = table(donation(0), donation(1, donor="d0", verdict="cry"), donation(24 * 7, decision="taken", audit=True))
    latest, first = weeks(rows)
    assert (first.start, first.donations, first.donors, first.asked, first.heard) == ("2026-01-05", 2, 1, 2, 1)
    assert (latest.start, latest.taken, latest.asked, latest.heard) == ("2026-01-12", 1, 1, 0)
    assert (weeks(table(donation(24 * 7 - 1)))[0].start) == "2026-01-05", "Sunday, 23 o'clock"


def test_nothing_is_no_error() -> None:
    found = live(decided(TRIAGE.table_of([]), manifest([]), arrived([]), COUNTING.table_of([])), [], {})
    assert (found.donations, found.work_saved, found.weeks, found.champions) == (0, None, [], [])
    assert found.auc.value is None
    assert found.recall.value is None


def manifest(ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"recording_id": ids, "donor": [f"d{each[-1]}" for each in ids]}, dtype="string[pyarrow]")


def arrived(ids: list[str]) -> "pd.Series[pd.Timestamp]":
    times = [MONDAY - pd.Timedelta(hours=place) for place in range(len(ids))]
    return pd.Series(times, index=ids, dtype="datetime64[ns, UTC]")


def test_decided_are_those_that_a_champion_decided_on_by_arrival() -> None:
    ids = [f"{number:064x}" for number in range(3)]
    row = {"score": 0.5, "decision": "person", "audit": False, "lower": None, "upper": None}
    triage = TRIAGE.table_of(
        [row | {"recording_id": each, "bundle": None if place == 0 else FIRST} for place, each in enumerate(ids)]
    )
    judged = COUNTING.table_of(
        [{"recording_id": ids[1], "verdict": "cry", "reason": None, "at": MONDAY, "people": "ada"}]
    )
    rows = decided(triage, manifest(ids), arrived(ids), judged)
    assert rows["recording_id"].tolist() == [ids[2], ids[1]]
    assert rows["verdict"].isna().tolist() == [True, False]
    assert rows["donor"].tolist() == ["d2", "d1"]
    assert Counted(rows).heard.tolist() == [False, True]
