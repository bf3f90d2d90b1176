"""What the name of a recording, or the sidecar beside it, says about it, and what its donor agreed to.

Belongs here: the corpus' file-name convention, sidecars, and the words for ages and reasons. Does not:
where files lie (sources.py) and what they sound like (decoding.py, quality.py).
"""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

REASONS = {
    "hu": "hungry",
    "bu": "burping",
    "bp": "belly_pain",
    "dc": "discomfort",
    "ti": "tired",
    "lo": "lonely",
    "ch": "cold_hot",
    "sc": "scared",
    "dk": "unknown",
}
AGE_BANDS = {"04": "0-4 weeks", "48": "4-8 weeks", "26": "2-6 months", "72": "7 months-2 years", "22": "over 2 years"}
GENDERS = {"m": "male", "f": "female"}
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_FAULTS = 5
MOST_KEYS, DEEPEST, LONGEST_NUMBER = 50, 8, 30
"""Limits of a sidecar: keys of one object, objects and lists in each other, characters of a number."""
CONVENTION = "<uuid>-<epoch>-<app version>-<m|f>-<age>-<reason>.<extension>"

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PARTS = re.compile(rf"({_UUID})-(\d+)-([^-]+)-([^-]+)-([^-]+)-([^-.]+)\.([a-z0-9]+)", re.ASCII | re.IGNORECASE)
_ANY_UUID = re.compile(_UUID, re.ASCII | re.IGNORECASE)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)


class FilenameError(ValueError):
    """A name or a sidecar does not say what a recording needs; the message says which part and what was expected."""


def _plausible(moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"{moment.isoformat()} is not a time between {EARLIEST.year} and {LATEST.year}")
    return moment.astimezone(UTC)


Donor = Annotated[str, Field(pattern=rf"^(?i:{_UUID})$"), AfterValidator(str.lower)]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z .+_-]{1,32}$")]
Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
ReasonCode = Literal["hu", "bu", "bp", "dc", "ti", "lo", "ch", "sc", "dk"]
Reason = Literal["hungry", "burping", "belly_pain", "discomfort", "tired", "lonely", "cold_hot", "scared", "unknown"]
Platform = Annotated[str, AfterValidator(str.lower), Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z ._-]{0,31}$")]
"""What recorded it, in a short word: ``android`` and ``ios`` for the corpus, ``unknown`` where nobody says."""
ConsentId = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z ._:/#-]{0,63}$")]
ConsentScope = Literal["training", "evaluation", "archive"]
UNKNOWN_REASON, UNKNOWN_PLATFORM = "dk", "unknown"
"""What a sidecar need not tell."""
AgeBand = Literal["0-4 weeks", "4-8 weeks", "2-6 months", "7 months-2 years", "over 2 years"]


class RecordingName(BaseModel):
    """Who recorded when, with what, and the parents' guess at the reason. ``None``: not told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    donor: Donor
    recorded_at: Moment
    platform: Platform = UNKNOWN_PLATFORM
    app_version: str | None = None
    gender: Literal["male", "female"] | None = None
    age_band: AgeBand | None = None
    reason_code: ReasonCode = UNKNOWN_REASON
    consent_id: ConsentId | None = None
    consent_scope: ConsentScope | None = None

    @property
    def reason(self) -> str:
        """The parents' guess in words: one of the values of :data:`REASONS`."""
        return REASONS[self.reason_code]

    @property
    def donation_id(self) -> str:
        """Donor and epoch in ms: the same for an upload and its cleaned copy."""
        return f"{self.donor}:{(self.recorded_at - EPOCH) // timedelta(milliseconds=1)}"


class Sidecar(BaseModel):
    """A JSON file beside an inbox file; each key it has replaces what the file's name says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    donor: Donor | None = None
    recorded_at: Moment | None = None
    platform: Platform | None = None
    app_version: Version | None = None
    gender: Literal["male", "female"] | None = None
    age_band: AgeBand | None = None
    reason_code: ReasonCode | None = None
    reason: Reason | None = None
    consent_id: ConsentId | None = None
    consent_scope: ConsentScope | None = None

    @model_validator(mode="after")
    def _reason_and_code_agree(self) -> Self:
        if self.reason and self.reason_code and REASONS[self.reason_code] != self.reason:
            raise ValueError(f"reason {self.reason!r} and reason_code {self.reason_code!r} contradict each other")
        return self

    def told(self) -> dict[str, Any]:
        """Return the keys that the sidecar has, as fields of :class:`RecordingName`."""
        fields = self.model_dump(exclude_unset=True, exclude={"reason"})
        if self.reason:
            fields["reason_code"] = next(code for code, reason in REASONS.items() if reason == self.reason)
        return fields


def parse_filename(name: str) -> RecordingName:
    """Read the name of a file of the corpus, whose apps wrote :data:`CONVENTION`.

    iOS writes the uuid in upper case and the epoch in seconds, Android in lower case and in milliseconds;
    a cleaned copy keeps the name of its upload.

    Raises:
        FilenameError: the name is off the convention; every fault is named.
    """
    match = _PARTS.fullmatch(name)
    if match is None:
        raise FilenameError(f"{name}: expected {CONVENTION}")
    donor, epoch, version, gender, age, reason, _ = match.groups()
    platform = {10: "ios", 13: "android"}.get(len(epoch))
    faults = []
    if platform is None:
        faults.append(f"epoch {epoch} has neither 10 digits (iOS, s) nor 13 (Android, ms)")
    elif donor != (donor.upper() if platform == "ios" else donor.lower()):
        faults.append(f"the case of uuid {donor} is not that of {platform}, which the epoch {epoch} is from")
    if not _VERSION.fullmatch(version):
        faults.append(f"app version {version!r} is not numbers and dots")
    for part, given, known in (("gender", gender, GENDERS), ("age", age, AGE_BANDS), ("reason", reason, REASONS)):
        if given not in known:
            faults.append(f"{part} {given!r} is not one of {', '.join(known)}")
    if faults:
        raise FilenameError(f"{name}: {'; '.join(faults)}")
    fields = {
        "donor": donor,
        "recorded_at": EPOCH + timedelta(milliseconds=int(epoch) * (1000 if platform == "ios" else 1)),
        "platform": platform,
        "app_version": version,
        "gender": GENDERS[gender],
        "age_band": AGE_BANDS[age],
        "reason_code": reason,
    }
    return _validated(RecordingName.model_validate, fields, name)


def uuids_in(path: str) -> list[str]:
    """Return every UUID that a path holds, in lower case: who looks for a donor finds it whatever else a name says."""
    return [found.lower() for found in _ANY_UUID.findall(path)]


def describe(name: str, sidecar: bytes | None = None) -> RecordingName:
    """Return what ``name`` says, each part replaced by what the JSON text ``sidecar`` says of it.

    A name off the convention needs a sidecar that tells donor and recorded_at; a reason or platform that nobody tells
    is unknown.

    Raises:
        FilenameError: the sidecar is malformed, or name and sidecar together do not tell enough.
    """
    if sidecar is None:
        return parse_filename(name)
    where = f"sidecar of {name}"
    told = _validated(Sidecar.model_validate, _read_json(sidecar, where), where).told()
    try:
        fields = parse_filename(name).model_dump()
    except FilenameError:
        fields = {}
    return _validated(RecordingName.model_validate, fields | told, f"{name} with its sidecar")


def _read_json(content: bytes, where: str) -> dict[str, Any]:
    """Return what the JSON text says, in UTF-8, -16 or -32, with the mark in front that editors on Windows write.

    Refused is what readers disagree about, and would take for one thing or another without a word: a key that comes
    twice, and numbers that JSON has not (NaN, Infinity). So is what no sidecar has, and only takes time: see MOST_KEYS.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} comes more than once")
        if len(pairs) > MOST_KEYS:
            raise ValueError(f"it has {len(pairs)} keys, and {MOST_KEYS} are read")
        return dict(pairs)

    def refuse(number: str) -> float:
        raise ValueError(f"{number} is no number of JSON")

    def short(number: str) -> str:
        if len(number) > LONGEST_NUMBER:
            raise ValueError(f"{number[:LONGEST_NUMBER]}… is a number of {len(number)} characters")
        return number

    try:
        told = json.loads(
            _shallow(content.decode(json.detect_encoding(content), "surrogatepass")),  # as json.loads does
            object_pairs_hook=once,
            parse_constant=refuse,
            parse_int=lambda number: int(short(number)),
            parse_float=lambda number: float(short(number)),
        )
    except ValueError as error:
        raise FilenameError(f"{where}: Invalid JSON: {error}") from None
    if not isinstance(told, dict):
        raise FilenameError(f'{where}: expected one JSON object, {{"reason": …}}')
    return told


def _shallow(text: str) -> str:
    """Return a JSON text with few objects and lists in each other: its parser would go as deep as the stack."""
    brackets = re.findall(r"[\[{\]}]", _STRING.sub("", text))
    if max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0) > DEEPEST:
        raise ValueError("it is nested too deeply")
    return text


def _validated(validate: Any, content: Any, where: str) -> Any:
    try:
        return validate(content)
    except ValidationError as error:
        faults = [": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors()]
        rest = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise FilenameError(f"{where}: {'; '.join(faults[:MOST_FAULTS])}{rest}") from None
