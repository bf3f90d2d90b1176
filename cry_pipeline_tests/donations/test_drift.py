"""Drift: as many false alarms as the level allows, and what has changed is found; by simulation."""

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.donations import drift
from cry_pipeline.donations.drift import DONORS, NUMBERS, WORDS, batches, compared, drift_of

LEVEL = 0.05


def recordings(rng: np.random.Generator, people: int, **shifted: float) -> pd.DataFrame:
    """Return recordings of ``people`` donors, each donor's alike; ``shifted`` columns lie higher by so much."""
    donor = np.repeat(np.arange(people), rng.geometric(0.45, people))
    own = {name: rng.normal(0, 1, people)[donor] + rng.normal(0, 0.5, len(donor)) for name in ("score", *NUMBERS)}
    # Most recordings have one rate, and one channel: ties are what the corpus is made of.
    own |= {name: np.round(own[name] * 0.5) for name in ("sample_rate_hz", "channels")}
    own |= {name: own[name] + by for name, by in shifted.items() if name in own}
    words = {
        name: np.array(["a", "b", "c", None])[rng.choice(4, people, p=[0.6, 0.2, 0.1, 0.1])][donor] for name in WORDS
    }
    words |= {
        name: np.where(rng.random(people)[donor] < by, "new", words[name])
        for name, by in shifted.items()
        if name in words
    }
    return pd.DataFrame(
        {"recording_id": [f"{rng.integers(2**60):064x}" for _ in donor], "donor": donor.astype(str)} | own | words
    )


def warned(rng: np.random.Generator, **shifted: float) -> list[str]:
    found = compared(recordings(rng, DONORS, **shifted), recordings(rng, 250), LEVEL, seed=int(rng.integers(2**31)))
    return [one.name for one in found if one.drifted]


@pytest.fixture(autouse=True)
def fewer_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "PERMUTATIONS", 300)


def test_where_nothing_has_changed_a_warning_is_as_rare_as_the_level_says() -> None:
    rng, tries = np.random.default_rng(0), 100
    alarms = sum(bool(warned(rng)) for _ in range(tries))
    assert alarms / tries <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / tries), alarms


@pytest.mark.parametrize(
    ("name", "by"), [("score", 1.5), ("rms_dbfs", 1.5), ("sample_rate_hz", 1.0), ("platform", 0.6)]
)
def test_what_has_changed_is_found_and_named(name: str, by: float) -> None:
    rng = np.random.default_rng(1)
    found = [warned(rng, **{name: by}) for _ in range(6)]
    assert sum(name in names for names in found) >= 5
    assert sum(len(set(names) - {name}) for names in found) <= 1, "and nothing else"


def test_one_donor_with_many_recordings_is_one_donor() -> None:
    """By recordings most of the batch would be unlike; by donors one of twenty is."""
    rng = np.random.default_rng(2)
    batch, reference = recordings(rng, DONORS), recordings(rng, 250)
    odd = batch.iloc[:1].assign(rms_dbfs=30.0)
    batch = pd.concat([batch[batch["donor"] != batch["donor"].iloc[0]], *[odd] * 200], ignore_index=True)
    assert not [one.name for one in compared(batch, reference, LEVEL) if one.drifted]


def test_rates_are_told_as_people_write_them() -> None:
    rng = np.random.default_rng(5)
    batch = recordings(rng, DONORS).assign(sample_rate_hz=16_000)
    found = {one.name: one for one in compared(batch, recordings(rng, 100), LEVEL)}
    assert found["sample_rate_hz"].now == "16,000 (16,000 to 16,000) Hz"
    assert found["platform"].now.startswith("a ")


def test_a_column_without_numbers_is_no_drift() -> None:
    rng = np.random.default_rng(3)
    batch, reference = recordings(rng, DONORS).assign(score=np.nan), recordings(rng, 100)
    (score,) = (one for one in compared(batch, reference, LEVEL) if one.name == "score")
    assert (score.p_value, score.drifted, score.now) == (1.0, False, "none")


def test_batches_are_closed_by_their_donors_and_are_of_one_champion() -> None:
    donors = [str(number // 2) for number in range(2 * DONORS * 2 + 6)]
    rows = pd.DataFrame({"donor": donors, "bundle": "a"})
    first, second = batches(rows)
    assert (len(first), first["donor"].nunique()) == (2 * DONORS - 1, DONORS)
    assert second.index[0] == first.index[-1] + 1
    longer = pd.concat([rows, rows], ignore_index=True)
    assert next(batches(longer)).equals(first), "what arrives later changes no closed batch"
    assert list(batches(rows.assign(bundle=np.where(np.arange(len(rows)) % 2, "a", "b"))[: 2 * DONORS - 2])) == []


def test_the_latest_batches_come_first_with_what_was_and_is() -> None:
    rng = np.random.default_rng(4)
    manifest = recordings(rng, 3 * DONORS + 5)
    times = pd.date_range("2026-01-01", periods=len(manifest), freq="h", tz="UTC")
    rows = manifest[["recording_id", "donor"]].assign(
        bundle="b" * 64, score=np.nan, by_one=manifest["score"] + 2, arrived_at=times
    )
    trained = recordings(rng, 200)
    everything = pd.concat([manifest, trained], ignore_index=True).drop(columns=["donor", "score"])
    out_of_fold = {"b" * 64: trained[["recording_id", "donor", "score"]]}
    found = drift_of(rows, everything, out_of_fold, LEVEL)
    assert len(found) == 3
    assert found[0].first > found[1].last
    assert all(batch.donors == DONORS for batch in found)
    assert [batch.compared[0].name for batch in found] == ["score"] * 3
    assert found[0].drifted == ["score"]
    assert (len(found[0].scores), len(found[0].reference)) == (101, 101)
    assert len(found[0].compared) == 13, "the score, and a dozen columns"
    assert drift_of(rows, everything, {}, LEVEL) == [], "of a champion whose run is gone nothing is known"
