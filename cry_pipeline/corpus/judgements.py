"""What people said of recordings after listening: kept for ever, one file for each judgement, and which one counts.

Belongs here: a judgement, its file, the table of all, and the rule where there are several. Does not: what is to be
judged next (donations/review.py), and what a label is made of it (cohorts.py).

Nothing is changed or removed: who changes their mind adds a judgement that supersedes the one before, and who takes one
back adds ``retracted``. A file's name is the digest of what it says, so that two writers cannot write over each other.
"""

import unicodedata
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

import pandas as pd
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cry_pipeline import keys
from cry_pipeline.artefacts import DamagedFileError, read_json, write_json
from cry_pipeline.catalog.donations import JudgementsSpec
from cry_pipeline.corpus.filenames import REASONS, Reason
from cry_pipeline.corpus.schemas import SAID
from cry_pipeline.digests import digest, table_digest
from cry_pipeline.tables import FILLED, Schema, TableError, instant, number, sha256, text

Verdict = Literal["cry", "not_cry", "unusable", "retracted"]
VERDICTS: tuple[str, ...] = get_args(Verdict)


def person(who: object) -> object:
    """Return a name as judgements have it: one space between words, letters composed; two spellings, one person."""
    return " ".join(unicodedata.normalize("NFC", who).split()) if isinstance(who, str) else who


Person = Annotated[str, BeforeValidator(person), Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,80}$")]
"""Whoever judges, by the name that they gave."""
WAY_OUT = "put a copy of the file back, or remove it: the judgement is lost then"


class JudgementError(ValueError):
    """A judgement cannot be taken; the message says what is wrong with it."""


class Judgement(BaseModel):
    """One person's judgement of one recording.

    ``heard_s`` are the seconds that were played before; ``supersedes`` is the digest of the same person's judgement
    before this one; ``origin`` says by which way it came, ``sample`` for which blind sample it was asked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recording_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    verdict: Verdict
    reason: Reason | None = None
    who: Person
    at: AwareDatetime
    heard_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    supersedes: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    origin: Literal["page", "command", "import"] = "command"
    sample: str | None = Field(default=None, pattern=r"^[a-z0-9_-]{1,80}$")

    @property
    def digest(self) -> str:
        """sha256 of what it says: its name."""
        return digest(judgement=self.model_dump(mode="json"))

    def says_the_same(self, other: "Judgement") -> bool:
        """Whether ``other`` is the same but for what it supersedes, which is told only when it is written."""
        return self.model_copy(update={"supersedes": other.supersedes}) == other


JUDGEMENTS = Schema(
    "the judgements",
    {
        "judgement": sha256("sha256 of what it says"),
        "recording_id": sha256("recording that was heard"),
        "verdict": text("what it was taken for; retracted: the one before was taken back", among=VERDICTS),
        "reason": text("why the baby cries, if the person said so", among=REASONS.values(), nullable=True),
        "who": text("who judged, by the name that they gave", matches=FILLED),
        "at": instant("when"),
        "heard_s": number("seconds played before", 0),
        "supersedes": sha256("the same person's judgement before", nullable=True),
        "origin": text("by which way it came", among=["page", "command", "import"]),
        "sample": text("blind sample that it was asked for", nullable=True),
    },
    unique=["judgement"],
)

COUNTING = Schema(
    "the judgements that count",
    {
        "recording_id": sha256("recording that was heard"),
        "verdict": text("what counts", among=SAID),
        "reason": text("why the baby cries, if said", among=REASONS.values(), nullable=True),
        "at": instant("when the latest of its judgements was given"),
        "people": text("who judged, in alphabetical order"),
    },
    unique=["recording_id"],
)


def add_judgement(folder: Path, judgement: Judgement) -> str:
    """Write ``judgement`` to ``folder`` and return its digest; the same again changes nothing.

    It supersedes the same person's word on the recording so far, also where the clock was set back in between; only
    an imported one that is older than that word comes before it.
    """
    of = judgement.recording_id, judgement.who
    mine = [other for other in _judgements(folder).values() if (other.recording_id, other.who) == of]
    before: Judgement | None = None
    for other in _in_order(mine):
        if judgement.says_the_same(other):
            return other.digest
        if judgement.origin != "import" or other.at <= judgement.at:
            before = other
    written = judgement.model_copy(update={"supersedes": before.digest if before else None})
    write_json(folder / f"{written.digest}.json", written.model_dump(mode="json"))
    return written.digest


def read_judgements(folder: Path) -> pd.DataFrame:
    """Return all judgements of ``folder``, oldest first: JUDGEMENTS.

    Raises:
        DamagedFileError: a file is not what was written; the message says which and what to do.
    """
    rows = [{"judgement": name, **dict(each)} for name, each in _judgements(folder).items()]
    for row in rows:
        row["at"] = row["at"].astimezone(UTC)
    table = JUDGEMENTS.table_of(rows).sort_values(["at", "judgement"], ignore_index=True)
    return JUDGEMENTS.conforming(table)


def write_judgements(path: Path, judgements: pd.DataFrame) -> int:
    """Write the table of all judgements unless it is current; return how many of them the one before had not.

    A table that is damaged is made again.
    """
    key = keys.key("judgements", None, judgements_digest(judgements))
    if JUDGEMENTS.current(path, key) is not None:
        return 0
    try:
        before = JUDGEMENTS.read(path)
    except (DamagedFileError, TableError):
        before = JUDGEMENTS.table_of([])
    JUDGEMENTS.write(path, judgements, key)
    return int((~judgements["judgement"].isin(before["judgement"])).sum())


def latest_of_each(judgements: pd.DataFrame) -> pd.DataFrame:
    """Return each person's last word on each recording, retractions left out: rows of JUDGEMENTS.

    A judgement that another one supersedes is never the last, whatever clock it was given by.
    """
    standing = judgements[~judgements["judgement"].isin(judgements["supersedes"].dropna())]
    last = standing.sort_values(["at", "judgement"]).groupby(["recording_id", "who"], sort=True).tail(1)
    return last[last["verdict"] != "retracted"].sort_values(["recording_id", "at", "judgement"], ignore_index=True)


def counting(judgements: pd.DataFrame, rule: JudgementsSpec) -> pd.DataFrame:
    """Return what counts of each recording, by recording_id: COUNTING.

    Of several people's judgements the ``latest`` does, or under the rule ``agreed`` none unless all say the same.
    """
    rows = []
    for recording_id, group in latest_of_each(judgements).groupby("recording_id", sort=True):
        if rule.rule == "agreed" and len(set(group["verdict"])) > 1:
            continue
        last = group.iloc[-1]
        people = ", ".join(sorted(group["who"]))
        row = {"recording_id": recording_id, "verdict": last["verdict"], "reason": last["reason"], "at": last["at"]}
        rows.append({**row, "people": people})
    return COUNTING.conforming(COUNTING.table_of(rows))


def judgements_digest(judgements: pd.DataFrame) -> str:
    """Return the sha256 of all that was judged: the data version of ``raw/judgements``."""
    return table_digest(judgements)


def now() -> datetime:
    """Return the time of a judgement that is given now, UTC."""
    return datetime.now(UTC)


def _in_order(judgements: Collection[Judgement]) -> list[Judgement]:
    """Return ``judgements``, of one person on one recording, so that the one that stands comes last."""
    superseded = {each.supersedes for each in judgements}
    return sorted(judgements, key=lambda each: (each.digest not in superseded, each.at, each.digest))


def _judgements(folder: Path) -> dict[str, Judgement]:
    """Return all judgements of ``folder`` by their digests."""
    found = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        about = path.stat()
        found[path.stem] = _judgement(path, (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino))
    return found


@lru_cache(maxsize=65536)  # a page asks for all at each step, and a file never changes
def _judgement(path: Path, _identity: tuple[int, ...]) -> Judgement:
    try:
        judgement = Judgement.model_validate(read_json(path, WAY_OUT))
    except ValidationError as error:
        raise DamagedFileError(f"{path} is no judgement ({error.error_count()} faults): {WAY_OUT}") from error
    if judgement.digest != path.stem:
        raise DamagedFileError(f"{path} is not the judgement that its name says: {WAY_OUT}")
    return judgement
