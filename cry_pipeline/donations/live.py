"""Live evidence: what happened since deployment, and what triage is worth on donations.

Belongs here: which donations are counted, week by week and champion by champion. Does not: the estimates
(estimates.py), agreement (agreement.py), drift (drift.py), and the page (reports/live_page.py).

Counted are donations that a champion decided on and had not learned from. What people judge of those that triage
decided counts only where the audit drew them: what somebody looked up for another reason is no random sample.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cry_pipeline.catalog import Catalog
from cry_pipeline.corpus.judgements import JUDGEMENTS, counting
from cry_pipeline.digests import digest, table_digest
from cry_pipeline.donations.agreement import between_people
from cry_pipeline.donations.arrivals import read_arrivals
from cry_pipeline.donations.drift import MOST, drift_of
from cry_pipeline.donations.estimates import area_of, numbered, recall_kept, share_of, stratum_weights, unheard
from cry_pipeline.donations.scores import by_one_of
from cry_pipeline.donations.thresholds import out_of_fold_of
from cry_pipeline.donations.triage import DECISIONS, PERSON, SET_ASIDE, TAKEN, read_triage
from cry_pipeline.evaluation.metrics import auc
from cry_pipeline.inference.champions import Event, history
from cry_pipeline.reports.happened import Batch, Estimate, Happened, Live, Reign, Week
from cry_pipeline.settings import Settings
from cry_pipeline.training.fold_folders import DamagedFoldError

LOG = logging.getLogger("cry_pipeline")
SIDES = ("lower", "upper")
CRY, NOT_CRY = "cry", "not_cry"
WORDS = {TAKEN: "taken as a cry", SET_ASIDE: "set aside", PERSON: "left to a person"}


def decided(
    triage: pd.DataFrame, recordings: pd.DataFrame, arrived: "pd.Series[pd.Timestamp]", judged: pd.DataFrame
) -> pd.DataFrame:
    """Return donations with triage, ``donor``, ``arrived_at`` and ``verdict`` (None: nobody's counts), by arrival.

    Args:
        triage: TRIAGE; what no champion decided on is left out.
        recordings: the manifest.
        arrived: when each arrived, by recording_id.
        judged: COUNTING.
    """
    rows = triage[triage["bundle"].notna()].merge(recordings[["recording_id", "donor"]], on="recording_id")
    verdicts = dict(zip(judged["recording_id"], judged["verdict"], strict=True))
    rows = rows.assign(
        arrived_at=arrived.reindex(rows["recording_id"]).array,
        verdict=[verdicts.get(each) for each in rows["recording_id"]],
    )
    return rows.sort_values(["arrived_at", "recording_id"], ignore_index=True)


def live(
    rows: pd.DataFrame,
    events: Sequence[Event],
    out_of_fold: Mapping[str, pd.DataFrame],
    *,
    people: Sequence = (),
    batches: Sequence[Batch] = (),
    synthetic: bool = False,
) -> Live:
    """Return what happened.

    Args:
        rows: of :func:`decided`.
        events: the champions' history.
        out_of_fold: by digest of a bundle, what ``thresholds.out_of_fold_of`` returns: what it learned from.
        people: how far every two people agree.
        batches: what drifted.
        synthetic: whether any donation, or what a champion learned from, was generated.
    """
    counted, learned = counted_of(rows, out_of_fold)
    return Live(
        donations=len(counted.rows),
        decisions={name: int((counted.decisions == name).sum()) for name in DECISIONS},
        asked=int(counted.asked.sum()),
        heard=int(counted.heard.sum()),
        unusable=int((counted.heard & ~counted.usable).sum()),
        learned=learned,
        work_saved=1 - float(counted.asked.mean()) if len(counted.rows) else None,
        taken_right=counted.right(TAKEN),
        set_aside_right=counted.right(SET_ASIDE),
        auc=counted.area(),
        recall=counted.recall(),
        weeks=weeks(counted.rows),
        people=people,
        champions=[_reign(event, counted.rows, out_of_fold) for event in _first(events)],
        batches=batches,
        synthetic=synthetic,
    )


def counted_of(rows: pd.DataFrame, out_of_fold: Mapping[str, pd.DataFrame]) -> "tuple[Counted, int]":
    """Return which of ``rows``, see :func:`decided`, count, and how many do not, because they were learned from."""
    learned_from = {bundle: set(of["recording_id"]) for bundle, of in out_of_fold.items()}
    pairs = rows[["recording_id", "bundle"]].itertuples(index=False)
    learned = np.array([recording in learned_from.get(bundle, ()) for recording, bundle in pairs], dtype=bool)
    return Counted(rows[~learned].reset_index(drop=True)), int(learned.sum())


class Counted:
    """Donations, and which of them people were asked to hear, heard, and could say something of: bool [n] each."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.decisions, self.donors = rows["decision"].to_numpy(str), rows["donor"].to_numpy(str)
        self.asked = (self.decisions == PERSON) | rows["audit"].to_numpy(bool)
        self.heard = self.asked & rows["verdict"].notna().to_numpy(bool)
        self.cry = self.heard & (rows["verdict"] == CRY).to_numpy(bool)
        self.usable = self.cry | (self.heard & (rows["verdict"] == NOT_CRY).to_numpy(bool))
        self.weights = stratum_weights(self.decisions, self.heard)

    def right(self, side: str) -> Estimate:
        """Return the share of right answers on an automatic side."""
        own = self.usable & (self.decisions == side)
        return share_of(self.cry[own] == (side == TAKEN), self.donors[own])

    def area(self) -> Estimate:
        """Return the area under the curve on all donations that have a score."""
        scores = self.rows["score"].to_numpy(np.float64)
        own = self.usable & np.isfinite(scores)
        heard = Estimate(None, None, None, int(own.sum()), len(np.unique(self.donors[own])))
        if silent := unheard(self.decisions, self.heard):
            return heard.without(f"nobody has heard any yet of what was {' and '.join(WORDS[name] for name in silent)}")
        models = numbered(self.rows["bundle"].tolist())[own]
        return area_of(self.cry[own], scores[own], self.weights[own], self.donors[own], models)

    def recall(self) -> Estimate:
        """Return the share of cries that were not set aside."""
        aside = self.decisions == SET_ASIDE
        if silent := [name for name in unheard(self.decisions, self.heard) if name != SET_ASIDE]:
            nothing = Estimate(None, None, None, 0, 0)
            return nothing.without(f"nobody has heard any yet of what was {' and '.join(WORDS[of] for of in silent)}")
        missed = share_of(self.cry[self.usable & aside], self.donors[self.usable & aside])
        usable = float(self.weights[self.usable & aside].sum()) if missed.heard else float(aside.sum())
        return recall_kept(missed, usable, float(self.weights[self.cry & ~aside].sum()))


def weeks(rows: pd.DataFrame) -> list[Week]:
    """Return a row for each week in which any of ``rows``, see :func:`decided`, arrived, the latest first."""
    if rows.empty:
        return []
    days = rows["arrived_at"].dt.tz_convert("UTC").dt.normalize()
    monday = days - pd.to_timedelta(days.dt.day_of_week, unit="D")
    found = []
    for start, group in rows.groupby(monday):
        of = Counted(group.reset_index(drop=True))
        counts = {name: int((of.decisions == name).sum()) for name in DECISIONS}
        donors, asked, heard = len(np.unique(of.donors)), int(of.asked.sum()), int(of.heard.sum())
        found.append(Week(f"{start:%Y-%m-%d}", len(group), donors, **counts, asked=asked, heard=heard))
    return found[::-1]


def _first(events: Sequence[Event]) -> list[Event]:
    """Return, for each champion that there was, the event by which it came into use first; the latest first."""
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.digest, event)
    return list(first.values())[::-1]


def _reign(event: Event, rows: pd.DataFrame, out_of_fold: Mapping[str, pd.DataFrame]) -> Reign:
    """Return what one champion did."""
    own = rows[rows["bundle"] == event.digest].reset_index(drop=True)
    of, known = Counted(own), out_of_fold.get(event.digest)
    lower, upper = (None if own.empty or pd.isna(value := own[name].iloc[0]) else float(value) for name in SIDES)
    return Reign(
        digest=event.digest,
        since=event.at,
        event=event.event,
        lower=lower,
        upper=upper,
        donations=len(own),
        decided=int((of.decisions != PERSON).sum()),
        auc=of.area(),
        expected=None if known is None else expected(known),
    )


def expected(out_of_fold: pd.DataFrame) -> float:
    """Return the area under the curve of out-of-fold scores, within folds, as evidence has it."""
    cry, scores, folds = (out_of_fold[name].to_numpy() for name in ("cry", "score", "fold"))
    return float(auc(cry, scores, None, folds))


@dataclass(frozen=True)
class Deployed:
    """What live evidence is made of: rows of :func:`decided` with ``by_one``, the champions, what they learned from."""

    rows: pd.DataFrame
    events: Sequence[Event]
    out_of_fold: Mapping[str, pd.DataFrame]
    recordings: pd.DataFrame
    judgements: pd.DataFrame

    @property
    def digest(self) -> str:
        """sha256 of all of it; of out-of-fold predictions, which runs they are of."""
        tables = [table_digest(table) for table in (self.rows, self.recordings, self.judgements)]
        return digest(tables=tables, events=[event.model_dump() for event in self.events], known=list(self.out_of_fold))

    def batches(self, level: float, most: int = MOST) -> list[Batch]:
        """Return what drifted; see ``drift.drift_of``."""
        return drift_of(self.rows, self.recordings, self.out_of_fold, level, most=most)

    @property
    def counted(self) -> Counted:
        """The donations that live evidence counts."""
        return counted_of(self.rows, self.out_of_fold)[0]

    def live(self, level: float) -> Live:
        """Return what happened; drift is called by chance as often as ``level`` says."""
        donors = dict(zip(self.rows["recording_id"], self.rows["donor"], strict=True))
        return live(
            self.rows,
            self.events,
            self.out_of_fold,
            people=between_people(self.judgements, donors),
            batches=self.batches(level),
            synthetic=bool((self.recordings["source"] == "synthetic").any()),
        )


def deployed(settings: Settings, catalog: Catalog, recordings: pd.DataFrame) -> Deployed:
    """Return what there is of an installation; of a champion whose run is gone nothing is known but its decisions.

    Raises:
        MissingFileError: nothing was triaged yet.
        DamagedFileError: a table is not what was written.
        ChampionError: the history of champions cannot be read.
    """
    judgements = JUDGEMENTS.read(settings.manifests / "judgements.parquet")
    judged = counting(judgements, catalog.donations.judgements)
    rows = decided(read_triage(settings), recordings, read_arrivals(settings), judged)
    one = by_one_of(settings.donations / "scores", sorted(set(rows["bundle"])))
    rows = rows.assign(by_one=rows["recording_id"].map(one).astype(np.float64))
    events, out_of_fold = history(settings.models), {}
    for event in events:
        try:
            out_of_fold[event.digest] = out_of_fold_of(event, settings.models, settings.runs)
        except DamagedFoldError as error:
            LOG.warning("live evidence: of the champion %s its decisions alone are known: %s", event.digest[:16], error)
    return Deployed(rows, events, out_of_fold, recordings, judgements)


def happened(settings: Settings, catalog: Catalog, recordings: pd.DataFrame) -> Happened:
    """Return what happened in an installation; raises as :func:`deployed`."""
    made_of = deployed(settings, catalog, recordings)
    return Happened(made_of.digest, lambda: made_of.live(catalog.donations.drift.level))
