"""What triage says changes only with the revision of its stages.

A change is no error by itself; but scores are kept for ever, and a decision must not change behind a data version.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from cry_pipeline import keys
from cry_pipeline.catalog.donations import TriageSpec
from cry_pipeline.donations.drift import NUMBERS, WORDS, compared
from cry_pipeline.donations.live import live
from cry_pipeline.donations.scores import score
from cry_pipeline.donations.thresholds import thresholds_of
from cry_pipeline.donations.triage import decide, is_drawn
from cry_pipeline.inference.bundle import read_bundle

BUNDLE = Path(__file__).parents[1] / "data" / "bundle_format_1"
CHANGED = "what triage says has changed: raise the revision of {!r} in keys.py (and here), or say why not"
GOLDEN = {
    "scores": (1, 0.4237732),
    "live_page": (2, (-0.5742121, 1.6545494)),
    "triage": (1, (0.106139122, 0.895507567), 72, 32),
}


def test_a_bundle_says_of_a_sound_what_it_said(tmp_path: Path) -> None:
    time = np.arange(16_000) / 8000
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 440 * time) * np.sin(3 * time), 8000)
    rows = pd.DataFrame({"recording_id": ["a" * 64], "root": "inbox", "path": "a.wav"})
    said = score(rows, read_bundle(BUNDLE), tmp_path / "scores", lambda root, path: tmp_path / path)
    revision, expected = GOLDEN["scores"]
    assert keys.STAGES["scores"].revision == revision
    assert said["score"].iloc[0] == pytest.approx(expected, abs=1e-5), CHANGED.format("scores")


def test_of_the_same_scores_follows_what_followed() -> None:
    place = np.arange(300)
    scores = 1 / (1 + np.exp(-3 * np.sin(1.0 + 12.9898 * place) - 1.2 * (place % 2 - 0.5)))
    found = thresholds_of(scores, place % 2 == 1, TriageSpec(cry_precision=0.7, not_cry_precision=0.7))
    decisions = [decide(score, found) for score in scores]
    drawn = [is_drawn(b"guard", f"{number:064x}", 0.1) for number in place]
    revision, thresholds, taken, audited = GOLDEN["triage"]
    assert keys.STAGES["triage"].revision == revision
    assert [found.lower, found.upper] == pytest.approx(thresholds, abs=1e-9), CHANGED.format("triage")
    assert (decisions.count("taken"), sum(drawn)) == (taken, audited), CHANGED.format("triage")


def test_of_the_same_donations_comes_the_same_live_evidence() -> None:
    place = np.arange(400)
    cry = place % 3 == 0
    score = 1 / (1 + np.exp(-2 * np.sin(1.0 + 12.9898 * place) - 2.5 * (cry - 0.5)))
    decision = np.where(score > 0.7, "taken", np.where(score < 0.3, "set_aside", "person"))
    rows = pd.DataFrame(
        {
            "recording_id": [f"{number:064x}" for number in place],
            "bundle": "b" * 64,
            "score": score,
            "decision": decision,
            "audit": (decision != "person") & (place % 5 == 0),
            "lower": 0.3,
            "upper": 0.7,
            "donor": [f"d{number // 3}" for number in place],
            "arrived_at": pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta(place, unit="h"),
            "verdict": np.where(cry, "cry", "not_cry"),
        }
    )
    found = live(rows, [], {})
    numbers = [
        number
        for one in (found.taken_right, found.set_aside_right, found.auc, found.recall)
        for number in (one.value, one.low, one.high)
    ]
    measured = {name: np.sin(place + number) for number, name in enumerate(NUMBERS)}
    words = {name: np.where(place % 4 == 0, "a", "b") for name in WORDS}
    both = rows[["donor", "score"]].assign(**measured, **words)
    unlike = compared(both[:40].assign(peak=both["peak"][:40] + 0.5), both[40:], 0.05)
    numbers += [number for one in unlike for number in (one.distance, one.p_value)]
    revision, expected = GOLDEN["live_page"]
    assert keys.STAGES["live_page"].revision == revision
    along = [sum(number * np.cos(rate * at) for at, number in enumerate(numbers)) for rate in (1.0, 1.7)]
    assert along == pytest.approx(expected, abs=1e-5), CHANGED.format("live_page")
