"""What a person is asked to listen to, in which order, and taking their answers.

Belongs here: the queue of one person, their progress, judging and taking back. Does not: the files of judgements
(corpus/judgements.py), whom triage shows what (triage.py), drawing samples (samples.py), and pages (serving/).

The queue is blind: its order is by a keyed hash, other for each person, so that neither the order nor a neighbour tells
why a recording is asked for, and ``Asked.why`` is for the program alone.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from pydantic import ValidationError

from cry_pipeline.artefacts import MissingFileError, read_table
from cry_pipeline.catalog import Catalog
from cry_pipeline.corpus.judgements import (
    Judgement,
    JudgementError,
    add_judgement,
    latest_of_each,
    now,
    person,
    read_judgements,
)
from cry_pipeline.donations.samples import read_samples
from cry_pipeline.secret import keyed_hash, read_secret
from cry_pipeline.settings import Settings

ASKED = ("cry", "not_cry", "unusable")
"""What a person may answer."""
CORPUS, DONATED = "corpus", "donated"


class Asked(NamedTuple):
    """A recording to be judged; ``sample`` goes along with the answer, and ``why`` is shown to no reviewer."""

    recording_id: str
    sample: str | None
    why: str


class Progress(NamedTuple):
    """How many recordings a person has judged, and how many they are still asked for."""

    done: int
    left: int


def queue(settings: Settings, catalog: Catalog, who: str) -> list[Asked]:
    """Return what ``who`` is asked to judge, in the order to do it.

    These are the donations that triage shows to a person, until one has judged them; those drawn for audit, and under
    the rule ``agreed`` all, until two have, so that there is agreement to be measured; and the samples of the corpus,
    which everybody is asked for. Without triage every donation is shown. Nobody is asked twice, unless they took their
    judgement back, and never for what its donor let us keep only.

    Raises:
        MissingFileError: there is no manifest yet.
        DamagedFileError: a judgement, a sample or a table is not what was written.
    """
    words = latest_of_each(read_judgements(settings.judgements))
    mine = set(words.loc[words["who"] == person(who), "recording_id"])
    heard_by = words.groupby("recording_id")["who"].nunique()
    listed = _listed(settings)
    asked = {recording_id: each for recording_id, each in _drawn(settings).items() if recording_id in listed}
    both = catalog.donations.judgements.rule == "agreed"
    for recording_id, why in _donations(settings, listed).items():
        wanted = 2 if both or why == "audit" else 1
        if heard_by.get(recording_id, 0) < wanted:
            asked.setdefault(recording_id, Asked(recording_id, None, why))
    secret = read_secret(settings.secret)
    left = [each for each in asked.values() if each.recording_id not in mine]
    return sorted(left, key=lambda each: keyed_hash(secret, "review", f"{person(who)}\0{each.recording_id}"))


def progress(settings: Settings, catalog: Catalog, who: str) -> Progress:
    """Return how far ``who`` is; raises as :func:`queue`."""
    words = latest_of_each(read_judgements(settings.judgements))
    return Progress(int((words["who"] == person(who)).sum()), len(queue(settings, catalog, who)))


def judge(
    settings: Settings,
    recording_id: str,
    verdict: str,
    who: str,
    *,
    heard_s: float,
    reason: str | None = None,
    sample: str | None = None,
    origin: str,
) -> str:
    """Keep what ``who`` says of a recording after hearing ``heard_s`` seconds of it; return the judgement's digest.

    ``reason`` is why the baby cries, one of the words of ``filenames.REASONS``, if they say so; ``sample`` need not be
    told. What they said of the recording before is superseded.

    Raises:
        JudgementError: this is no judgement, or of a recording that nobody is asked for.
    """
    if verdict not in ASKED:
        raise JudgementError(f"{verdict!r} is no verdict: say one of {', '.join(ASKED)}")
    if reason is not None and verdict != "cry":
        raise JudgementError(f"{verdict!r} has no reason: only a cry has one")
    first = samples_of(settings).get(recording_id)
    if sample not in (None, first):
        raise JudgementError(f"{recording_id} is asked for by no sample {sample!r}")
    if recording_id not in judgeable(settings):
        raise JudgementError(
            f"{recording_id} is neither a donation that the manifest lists nor of a sample: "
            "`cry-pipeline review list` says what is asked for"
        )
    return _add(settings, recording_id, verdict, who, heard_s=heard_s, reason=reason, sample=first, origin=origin)


def undo(settings: Settings, who: str) -> str | None:
    """Take back the last judgement of ``who`` that stands; return the recording that it was of, None without any."""
    words = latest_of_each(read_judgements(settings.judgements))
    mine = words[words["who"] == person(who)].sort_values(["at", "judgement"])
    if mine.empty:
        return None
    last = mine.iloc[-1]
    sample = last["sample"] if isinstance(last["sample"], str) else None
    _add(settings, last["recording_id"], "retracted", who, heard_s=0.0, sample=sample, origin=last["origin"])
    return str(last["recording_id"])


def judgeable(settings: Settings) -> set[str]:
    """Return the recordings that people may judge: donations, and of the corpus what a sample holds."""
    sampled = samples_of(settings)
    return {one for one, where in _listed(settings).items() if where == DONATED or one in sampled}


def samples_of(settings: Settings) -> dict[str, str]:
    """Return which sample asks for a recording, by recording; of several, the first."""
    return {each.recording_id: each.sample for each in _drawn(settings).values() if each.sample}


def _add(settings: Settings, recording_id: str, verdict: str, who: str, **more: object) -> str:
    said = {"recording_id": recording_id, "verdict": verdict, "who": who, "at": now(), **more}
    try:
        judgement = Judgement.model_validate(said)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise JudgementError(f"this is no judgement: {faults}") from error
    return add_judgement(settings.judgements, judgement)


def _listed(settings: Settings) -> dict[str, str]:
    """Return whether a recording of the manifest is of the corpus or donated; without what is only to be kept."""
    manifest = read_table(settings.manifests / "recordings.parquet")[["recording_id", "root", "consent_scope"]]
    heard = manifest[~manifest["consent_scope"].isin(["archive"])]  # unlike !=, also where nothing was said
    where = heard["root"].where(heard["root"] == CORPUS, DONATED)
    return dict(zip(heard["recording_id"], where, strict=True))


def _donations(settings: Settings, listed: Mapping[str, str]) -> dict[str, str]:
    """Return why a person is to hear a donation, by recording: ``person``, ``audit``, or ``untriaged``."""
    donated = {recording_id for recording_id, where in listed.items() if where == DONATED}
    triage = _triage(settings)
    if triage is None:
        return dict.fromkeys(donated, "untriaged")
    why = dict.fromkeys(triage.loc[triage["decision"] == "person", "recording_id"], "person")
    why |= dict.fromkeys(triage.loc[triage["audit"], "recording_id"], "audit")
    return {recording_id: reason for recording_id, reason in why.items() if recording_id in donated}


def _triage(settings: Settings) -> pd.DataFrame | None:
    from cry_pipeline.donations.triage import triage_path  # which knows models: not for who only judges

    try:
        return read_table(triage_path(settings))
    except MissingFileError:
        return None


def _drawn(settings: Settings) -> dict[str, Asked]:
    asked: dict[str, Asked] = {}
    for name, sample in read_samples(settings.judgements).items():
        for each in sample.drawn:
            asked.setdefault(each.recording_id, Asked(each.recording_id, name, each.why))
    return asked
