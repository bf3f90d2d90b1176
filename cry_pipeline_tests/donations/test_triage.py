"""Triage: each donation is decided on by the champion of its day, once; and nobody can choose who is audited."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from cry_pipeline.catalog.donations import TriageSpec
from cry_pipeline.corpus.decoding import DecodeError
from cry_pipeline.donations import scores as scores_module
from cry_pipeline.donations import triage as triage_module
from cry_pipeline.donations.scores import SCORES, scores_path
from cry_pipeline.donations.thresholds import Thresholds
from cry_pipeline.donations.triage import (
    PERSON,
    SET_ASIDE,
    TAKEN,
    Triaged,
    decide,
    donated,
    is_drawn,
    triage,
)
from cry_pipeline.inference.bundle import BundleError
from cry_pipeline.inference.champions import promotion
from cry_pipeline.settings import Settings
from cry_pipeline.targets import Target

SPEC = TriageSpec()
FIRST, SECOND = "a" * 64, "b" * 64
TIMES = {FIRST: "2026-01-01T00:00:00+00:00", SECOND: "2026-02-01T00:00:00+00:00"}


def recording(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@dataclass
class House:
    """An installation whose champions say what a test lets them say; counts what they are asked."""

    settings: Settings
    champions: list[str] = field(default_factory=lambda: [FIRST, SECOND])
    gone: set[str] = field(default_factory=set)
    supports: bool = True
    says: Callable[[str, str], float] = lambda bundle, path: 0.9
    asked: list[tuple[str, str]] = field(default_factory=list)

    def triage(self, arrived: dict[int, str], spec: TriageSpec = SPEC) -> Triaged:
        ids = [recording(number) for number in arrived]
        manifest = pd.DataFrame(
            {"recording_id": ids, "root": "inbox", "path": [f"{number}.wav" for number in arrived], "source": "inbox"}
        ).assign(consent_scope=None)
        manifest = pd.concat([manifest, manifest.assign(recording_id="c" * 64, source="donateacry_ios")[:1]])
        times = pd.Series(pd.to_datetime(list(arrived.values()), utc=True), index=ids)
        return triage(manifest, times, lambda root, path: Path(path), self.settings, spec)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(Settings(data=tmp_path))

    def read(folder: Path) -> SimpleNamespace:
        digest = folder.name[0] * 64
        if digest in made.gone:
            raise BundleError("it is gone")
        target = SimpleNamespace(model=b"", evidence=SimpleNamespace(supports_an_answer=made.supports))
        return SimpleNamespace(digest=digest, folder=folder, targets={"cry": target})

    class Champion:
        def __init__(self, folder: Path) -> None:
            self.digest = folder.name[0] * 64

        def predict(self, path: Path) -> SimpleNamespace:
            made.asked.append((self.digest, str(path)))
            return SimpleNamespace(cry_probability=made.says(self.digest, str(path)), segments=[1])

    def events(models: Path) -> list:
        runs: dict[Target, dict[str, str]] = {"cry": {"experiment": "e", "run": "r"}}
        return [promotion(d, None, runs, []).model_copy(update={"at": TIMES[d]}) for d in made.champions]

    cry = np.repeat([False, True], 100)
    out_of_fold = pd.DataFrame({"cry": cry, "score": np.where(cry, 0.8, 0.2), "recording_id": "", "donor": ""})
    monkeypatch.setattr(triage_module, "read_bundle", read)
    monkeypatch.setattr(triage_module, "history", events)
    monkeypatch.setattr(triage_module, "out_of_fold_of", lambda *_: out_of_fold)
    monkeypatch.setattr(scores_module, "Predictor", Champion)
    monkeypatch.setattr(scores_module, "open_graph", lambda model: None)
    monkeypatch.setattr(scores_module, "_by_one", lambda file, bundle, graph, number: number % 2 / 2)
    return made


def bundles(made: Triaged) -> dict[str, str]:
    return dict(zip(made.table["recording_id"], made.table["bundle"], strict=True))


def test_the_champion_of_the_day_decides_and_goes_on_to(house: House) -> None:
    arrived = {1: "2025-12-01", 2: "2026-01-15", 3: "2026-02-01", 4: "2026-03-01"}
    by = {recording(1): FIRST, recording(2): FIRST, recording(3): SECOND, recording(4): SECOND}
    assert bundles(house.triage(arrived)) == by, "what came before there was any is the first one's"
    house.champions = [FIRST]
    before = house.triage({1: "2025-12-01", 2: "2026-01-15"})
    house.champions = [FIRST, SECOND]
    assert house.triage({1: "2025-12-01", 2: "2026-01-15"}).digest == before.digest, "a later champion changes nothing"


def test_where_a_champion_is_gone_the_next_one_decides(house: House) -> None:
    house.gone = {FIRST}
    made = house.triage({1: "2026-01-15"})
    assert bundles(made) == {recording(1): SECOND}
    assert made.faults == {FIRST[:16]: "it is gone"}
    house.gone = {FIRST, SECOND}
    (row,) = house.triage({1: "2026-01-15"}).table.to_dict("records")
    assert (row["decision"], row["audit"], pd.isna(row["bundle"]), pd.isna(row["score"])) == (PERSON, False, True, True)


def test_without_a_champion_or_evidence_a_person_hears_everything(house: House) -> None:
    house.champions = []
    assert set(house.triage({1: "2026-01-15", 2: "2026-01-16"}).table["decision"]) == {PERSON}
    house.champions, house.supports = [FIRST], False
    (row,) = house.triage({1: "2026-01-15"}).table.to_dict("records")
    assert (row["decision"], row["score"], pd.isna(row["upper"])) == (PERSON, 0.9, True)


def test_scores_are_asked_for_once_and_stay(house: House) -> None:
    first = house.triage({1: "2026-01-15"})
    house.says = lambda bundle, path: 0.1
    again = house.triage({1: "2026-01-15", 2: "2026-01-16"})
    assert (first.computed, first.reused, again.computed, again.reused) == (1, 0, 1, 1)
    assert dict(zip(again.table["recording_id"], again.table["score"], strict=True)) == {
        recording(1): 0.9,
        recording(2): 0.1,
    }
    assert house.asked == [(FIRST, "1.wav"), (FIRST, "2.wav")]


def test_damaged_scores_are_asked_for_again(house: House) -> None:
    first = house.triage({1: "2026-01-15"})
    path = scores_path(house.settings.donations / "scores", FIRST)
    path.write_bytes(path.read_bytes()[:-30] + bytes(30))
    again = house.triage({1: "2026-01-15"})
    assert (again.computed, again.digest) == (1, first.digest)


def test_what_cannot_be_asked_about_is_for_a_person(house: House) -> None:
    def says(bundle: str, path: str) -> float:
        raise DecodeError("too short") if path == "1.wav" else FileNotFoundError(path)

    house.says = says
    made = house.triage({1: "2026-01-15", 2: "2026-01-15"})
    assert set(made.table["decision"]) == {PERSON}
    house.asked.clear()
    house.says = lambda bundle, path: 0.9
    again = house.triage({1: "2026-01-15", 2: "2026-01-15"})
    assert house.asked == [(FIRST, "2.wav")], "a file that was not there is asked about again"
    assert (again.computed, again.reused) == (1, 1)


def test_what_may_only_be_kept_is_not_asked_about() -> None:
    scopes = ["training", "evaluation", "archive", None]
    manifest = pd.DataFrame({"recording_id": list("abcd"), "source": "inbox", "consent_scope": scopes})
    assert donated(manifest.convert_dtypes())["recording_id"].tolist() == ["a", "b", "d"]
    assert donated(manifest.assign(consent_scope=None))["recording_id"].tolist() == list("abcd")


def test_decisions_are_by_the_thresholds() -> None:
    both, none = Thresholds(0.2, 0.8), Thresholds(float("nan"), float("nan"))
    assert [decide(score, both) for score in (0.0, 0.2, 0.21, 0.79, 0.8, 1.0)] == [
        SET_ASIDE,
        SET_ASIDE,
        PERSON,
        PERSON,
        TAKEN,
        TAKEN,
    ]
    assert {decide(score, none) for score in (0.0, 1.0)} == {PERSON}
    assert decide(float("nan"), both) == PERSON


def test_the_audit_share_is_as_large_as_asked_for_and_hangs_on_nothing() -> None:
    """Drawn by many secrets: the rate, that two recordings and two secrets know nothing of each other."""
    ids = [recording(number) for number in range(4000)]
    secrets = [bytes([number]) * 32 for number in range(2)]
    drawn = np.array([[is_drawn(secret, each, 0.1) for each in ids] for secret in secrets])
    assert binomtest(int(drawn.sum()), drawn.size, 0.1).pvalue > 1e-3
    both = int((drawn[0] & drawn[1]).sum())
    assert binomtest(both, len(ids), 0.01).pvalue > 1e-3, "another secret draws others"
    neighbours = int((drawn[:, 1:] & drawn[:, :-1]).sum())
    assert binomtest(neighbours, 2 * (len(ids) - 1), 0.01).pvalue > 1e-3
    order = np.argsort(ids)
    halves = drawn[0][order].reshape(2, -1).sum(axis=1)
    assert binomtest(int(halves[0]), int(halves.sum()), 0.5).pvalue > 1e-3, "nor does it hang on the hash itself"


def test_a_larger_share_keeps_those_of_the_smaller() -> None:
    small, large = ([is_drawn(b"s" * 32, recording(n), share) for n in range(500)] for share in (0.1, 0.3))
    assert all(after for before, after in zip(small, large, strict=True) if before)
    assert not any(is_drawn(b"s" * 32, recording(n), 0.0) for n in range(500))
    assert all(is_drawn(b"s" * 32, recording(n), 1.0) for n in range(500))


def test_neither_another_name_nor_another_day_draws_again(house: House) -> None:
    arrived = dict.fromkeys(range(200), "2026-01-15")
    first = house.triage(arrived).table
    assert 5 <= first["audit"].sum() <= 40
    renamed = triage(
        pd.DataFrame(
            {"recording_id": first["recording_id"], "root": "inbox", "path": "x.wav", "source": "inbox"}
        ).assign(consent_scope="training"),
        pd.Series(pd.Timestamp("2026-01-20", tz="UTC"), index=first["recording_id"]),
        lambda root, path: Path(path),
        house.settings,
        SPEC,
    )
    assert renamed.table["audit"].equals(first["audit"])


def test_scores_are_what_their_schema_says(house: House) -> None:
    house.triage({1: "2026-01-15"})
    assert SCORES.read(scores_path(house.settings.donations / "scores", FIRST))["score"].tolist() == [0.9]
