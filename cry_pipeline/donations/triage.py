"""Triage: what the champion says of a new donation, and what follows: taken, set aside, or shown to a person.

Belongs here: the decision on each donation, and who is drawn for audit. Does not: the thresholds (thresholds.py),
asking the champion (scores.py), and what people then say (corpus/judgements.py).

A donation is decided on by the bundle that was the champion when it arrived: later ones may have learned from it. Those
that came before there was any are decided on by the first; where a bundle is gone, the next one after it takes over. So
the table is a function of archive, champions' history and scores, whenever it is made.

The audit share is a random part of both automatic sides that people hear nevertheless, without knowing: with it triage
is measured (live.py). A recording is in it by a keyed hash of its id: nobody can tell beforehand who does not know the
installation's secret, another name changes nothing, and the same bytes are the same recording.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cry_pipeline.catalog.donations import TriageSpec
from cry_pipeline.corpus.cohorts import DONATED
from cry_pipeline.digests import table_digest
from cry_pipeline.donations.scores import score
from cry_pipeline.donations.thresholds import NONE, Thresholds, out_of_fold_of, thresholds_of
from cry_pipeline.inference.bundle import Bundle, BundleError, read_bundle
from cry_pipeline.inference.champions import Event, champion_folder, history
from cry_pipeline.secret import keyed_hash, read_secret
from cry_pipeline.settings import Settings
from cry_pipeline.tables import Schema, flag, number, sha256, text
from cry_pipeline.training.fold_folders import DamagedFoldError

LOG = logging.getLogger("cry_pipeline")
PURPOSE = "audit"
TAKEN, SET_ASIDE, PERSON = "taken", "set_aside", "person"
KEPT_ONLY = "archive"
"""What a donor agreed to who did not agree to more."""
DECISIONS = (TAKEN, SET_ASIDE, PERSON)

TRIAGE = Schema(
    "the triage",
    {
        "recording_id": sha256("a donation of the manifest"),
        "bundle": sha256("the champion that decided on it; none where there was none", nullable=True),
        "score": number("its probability of a cry; none where no champion can say", 0, 1, nullable=True),
        "decision": text("what follows", among=DECISIONS),
        "audit": flag("whether a person hears it nevertheless, to measure triage"),
        "lower": number("set aside up to this score; none where nothing is set aside", 0, 1, nullable=True),
        "upper": number("taken from this score on; none where nothing is taken", 0, 1, nullable=True),
    },
    unique=["recording_id"],
    rules={
        "only what was decided automatically is audited": lambda rows: ~rows["audit"] | (rows["decision"] != PERSON)
    },
)


@dataclass(frozen=True)
class Judge:
    """A champion of the history that can still be asked, and the thresholds that it decides by."""

    bundle: Bundle
    thresholds: Thresholds


@dataclass(frozen=True)
class Triaged:
    """The table, what was done for it, and which champions could not be used, and why."""

    table: pd.DataFrame
    computed: int
    reused: int
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The data version of the triage: no time of arrival is in it."""
        return table_digest(self.table)


class Judges:
    """The champions of a history, each looked at once, when it is needed first."""

    def __init__(self, events: Sequence[Event], models: Path, runs: Path, spec: TriageSpec) -> None:
        self._events, self._models, self._runs, self._spec = events, models, runs, spec
        self._times = np.array([pd.Timestamp(event.at).value for event in events])
        self._known: dict[str, Judge | None] = {}
        self.faults: dict[str, str] = {}

    def at(self, arrived_at: pd.Timestamp) -> Judge | None:
        """Return who decides on what arrived then: see the module."""
        before = int((self._times <= arrived_at.value).sum())
        found = (self._judge(event) for event in self._events[max(0, before - 1) :])
        return next((judge for judge in found if judge is not None), None)

    def _judge(self, event: Event) -> Judge | None:
        if event.digest not in self._known:
            try:
                self._known[event.digest] = self._read(event)
            except (BundleError, DamagedFoldError) as error:
                LOG.warning("triage: the champion %s cannot be asked: %s", event.digest[:16], error)
                self.faults[event.digest[:16]] = str(error)
                self._known[event.digest] = None
        return self._known[event.digest]

    def _read(self, event: Event) -> Judge:
        bundle = read_bundle(champion_folder(self._models, event.digest))
        if bundle.digest != event.digest:
            raise BundleError(f"{bundle.folder} holds the bundle {bundle.digest[:16]}, not {event.digest[:16]}")
        if not bundle.targets["cry"].evidence.supports_an_answer:
            return Judge(bundle, NONE)
        rows = out_of_fold_of(event, self._models, self._runs)
        return Judge(bundle, thresholds_of(rows["score"].to_numpy(), rows["cry"].to_numpy(), self._spec))


def donated(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return the donations of a manifest that a champion may be asked about: others are kept, and no more."""
    return recordings[(recordings["source"] == DONATED) & ~recordings["consent_scope"].isin([KEPT_ONLY])]


def triage(
    recordings: pd.DataFrame,
    arrived: "pd.Series[pd.Timestamp]",
    locate: Callable[[str, str], Path],
    settings: Settings,
    spec: TriageSpec,
) -> Triaged:
    """Return what is decided on each donation; scores that are not known yet are asked for and kept.

    Args:
        recordings: the manifest.
        arrived: when each donation arrived, UTC, by recording_id.
        locate: returns where the file of a root and path is.
        settings: of the installation: models, runs, donations, secret.
        spec: of the catalog.

    Raises:
        ChampionError: the history of champions cannot be read.
        SecretError: the installation's secret cannot.
        CageError: the decoder cannot be had as the settings ask for.
    """
    rows = donated(recordings)[["recording_id", "root", "path"]].sort_values("recording_id", ignore_index=True)
    judges = Judges(history(settings.models), settings.models, settings.runs, spec)
    theirs = [judges.at(arrived[recording]) for recording in rows["recording_id"]]
    scores, computed, reused = {}, 0, 0
    for judge in {id(judge): judge for judge in theirs if judge is not None}.values():
        own = rows[[judge is of for of in theirs]]
        said = score(own, judge.bundle, settings.donations / "scores", locate)
        scores |= dict(zip(said["recording_id"], said["score"], strict=True))
        computed, reused = computed + said.attrs["computed"], reused + said.attrs["reused"]
    secret = read_secret(settings.secret)
    decided = list(_decided(rows["recording_id"], theirs, scores, secret, spec.audit_share))
    return Triaged(TRIAGE.conforming(TRIAGE.table_of(decided)), computed, reused, judges.faults)


def _decided(
    recordings: "pd.Series[str]",
    judges: Sequence[Judge | None],
    scores: Mapping[str, float],
    secret: bytes,
    audit_share: float,
) -> Iterator[dict]:
    for recording, judge in zip(recordings, judges, strict=True):
        probability = scores.get(recording, np.nan)
        thresholds = judge.thresholds if judge else NONE
        decision = decide(probability, thresholds)
        yield {
            "recording_id": recording,
            "bundle": judge.bundle.digest if judge else None,
            "score": probability,
            "decision": decision,
            "audit": decision != PERSON and is_drawn(secret, recording, audit_share),
            "lower": thresholds.lower,
            "upper": thresholds.upper,
        }


def decide(probability: float, thresholds: Thresholds) -> str:
    """Return what follows from a probability of a cry; one that is not known is for a person."""
    if probability >= thresholds.upper:
        return TAKEN
    return SET_ASIDE if probability <= thresholds.lower else PERSON


def is_drawn(secret: bytes, recording_id: str, share: float) -> bool:
    """Return whether a recording is in the audit share: with a larger share, all that were in a smaller one stay."""
    return int(keyed_hash(secret, PURPOSE, recording_id), 16) < share * 2.0**256


def triage_path(settings: Settings) -> Path:
    """Return where the table lies."""
    return settings.donations / "triage.parquet"


def write_triage(triaged: Triaged, settings: Settings) -> None:
    """Write the table."""
    TRIAGE.write(triage_path(settings), triaged.table, triaged.digest)


def read_triage(settings: Settings) -> pd.DataFrame:
    """Return TRIAGE, by recording_id.

    Raises:
        MissingFileError: nothing was triaged yet.
        DamagedFileError: it is not what was written.
    """
    return TRIAGE.read(triage_path(settings))
