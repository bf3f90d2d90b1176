"""Who uploads what, when and under which name to a synthetic corpus.

Belongs here: the plan of a synthetic corpus as plain data. Does not: sounds (voices.py), and writing them
(files.py).

Platform, gender and age are drawn without regard to the reason, and donors differ far more than one donor's
recordings do. So with ``effect=0.0`` the reason cannot be told of a donor not heard before, though a model that
recognises donors seems to tell it; with an effect it can.
"""

from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

import numpy as np

from cry_pipeline.corpus.filenames import REASONS
from cry_pipeline.corpus.synthetic.voices import NOT_CRIES, Voice, draw_voice

MIN_DONORS_PER_REASON = 5
LABELS = {**{code: REASONS[code] for code in ("hu", "bu", "bp", "dc", "ti")}, "ch": "discomfort"}
"""Reason code -> folder of the cleaned recordings; uploads with another code are not kept."""

RARE = (("bu",), ("bp",), ("dc", "dc", "ch"), ("ti",))  # the donors of a rare reason take turns in its codes
UNKEPT = ("dk", "lo", "dk", "sc")
AGES = ("04", "04", "48", "26", "26", "72", "22")
FIRST_UPLOAD_MS = 1_425_168_000_000  # 2015-03-01
LAST_UPLOAD_MS = 1_433_030_400_000  # 2015-05-31
DAY_MS = 86_400_000


class PlanError(ValueError):
    """A synthetic corpus cannot be what is asked for; the message names each argument and says why."""


@dataclass(frozen=True)
class Plan:
    """What a synthetic corpus is made from: equal plans, equal bytes. ``synthetic.generate_corpus`` explains each."""

    donors: int
    donors_per_reason: int
    kept_per_reason: int
    hungry_share: float
    kept_share: float
    seed: int
    effect: float
    surprises: bool
    clip_s: tuple[float, float]

    def __post_init__(self) -> None:
        wanted = {
            f"donors_per_reason is {self.donors_per_reason}: five donor-grouped folds need at least "
            f"{MIN_DONORS_PER_REASON} donors of every reason": self.donors_per_reason >= MIN_DONORS_PER_REASON,
            f"donors is {self.donors}: {self.donors_per_reason} donors of every reason need at least as many donors": (
                self.donors >= self.donors_per_reason
            ),
            f"kept_per_reason is {self.kept_per_reason}: it must be at least 1": self.kept_per_reason >= 1,
            f"hungry_share is {self.hungry_share}: it must lie between 0 and 1": 0 < self.hungry_share < 1,
            f"kept_share is {self.kept_share}: it must lie between 0 and 1": 0 < self.kept_share < 1,
            f"seed is {self.seed}: it must not be negative": self.seed >= 0,
            f"effect is {self.effect}: it must lie between 0 (none) and 2": 0 <= self.effect <= 2,
            f"clip_s is {self.clip_s}: it must be (shortest, longest), between 1.1 and 60 seconds": (
                1.1 <= self.clip_s[0] <= self.clip_s[1] <= 60
            ),
        }
        faults = [fault for fault, holds in wanted.items() if not holds]
        if faults:
            raise PlanError("; ".join(faults))


@dataclass(frozen=True)
class Donor:
    """An installed app: whose voice it records, and what its file names say."""

    index: int
    uuid: UUID
    platform: Literal["android", "ios"]
    version: str
    gender: str
    age: str
    voice: Voice


@dataclass(frozen=True)
class Upload:
    """One file that an app sends. The same donor, ``take``, ``code`` and ``duration_s`` give the same sound."""

    donor: Donor
    take: int
    recorded_at_ms: int
    gender: str
    age: str
    code: str
    sound: str  # "cry" or one of NOT_CRIES
    duration_s: float
    arrived: float = 1.0  # fraction of the file's bytes
    odd_name: UUID | None = None

    @property
    def kept(self) -> bool:
        """Whether the curators keep it: it is a cry, with a reason they work with, and nothing is odd about it."""
        ordinary = self.arrived == 1.0 and self.odd_name is None and self.duration_s >= 1.0
        return ordinary and self.sound == "cry" and self.code in LABELS

    @property
    def stem(self) -> str:
        """The file name without its suffix: install, epoch (s on iOS, ms on Android), version, gender, age, reason."""
        tags = f"{self.gender}-{self.age}-{self.code}"
        if self.donor.platform == "android":
            return f"{self.donor.uuid}-{self.recorded_at_ms}-{self.donor.version}-{tags}"
        uuid = str(self.donor.uuid).upper()
        if self.odd_name:
            return f"{uuid}-{self.recorded_at_ms / 1000:.5f}-1-{str(self.odd_name).upper()}-{tags}.caf"
        return f"{uuid}-{self.recorded_at_ms // 1000}-{self.donor.version}-{tags}"


def plan_uploads(plan: Plan) -> list[Upload]:
    """Return every upload of a synthetic corpus, by donor and time; those of no ordinary kind last."""
    rng = np.random.default_rng(plan.seed)
    donors = [_draw_donor(index, rng) for index in range(plan.donors)]
    kept = _kept_cries(plan)
    unkept = _unkept(plan, kept, rng)
    uploads = []
    for donor in donors:
        mine = [(code, "cry") for code in kept[donor.index]] + unkept[donor.index]
        order, times = rng.permutation(len(mine)), _upload_times(len(mine), rng)
        for take, recorded_at_ms in enumerate(times):
            code, sound = mine[order[take]]
            duration_s = rng.uniform(*plan.clip_s)
            uploads.append(Upload(donor, take, recorded_at_ms, donor.gender, donor.age, code, sound, duration_s))
    return _with_surprises(uploads, rng) if plan.surprises else uploads


def _draw_donor(index: int, rng: np.random.Generator) -> Donor:
    ios = index % 5 in (1, 3)  # 40 %, as in the corpus, among the donors of every reason
    return Donor(
        index=index,
        uuid=UUID(bytes=rng.bytes(16), version=4),
        platform="ios" if ios else "android",
        version=str(rng.choice(["1.0", "1.0", "1.1"] if ios else ["1.7", "1.7", "1.7", "1.5"])),
        gender=str(rng.choice(["m", "f"])),
        age=str(rng.choice(AGES)),
        voice=draw_voice(rng),
    )


def _kept_cries(plan: Plan) -> list[list[str]]:
    """Per donor the reason codes of its cries that are kept."""
    codes: list[list[str]] = [[] for _ in range(plan.donors)]
    # Donors of a rare reason share all their rare reasons: then each class can be in each of five folds.
    crews = min(plan.donors // plan.donors_per_reason, len(RARE))
    for slot in range(len(RARE) * plan.donors_per_reason):
        turns = RARE[slot // plan.donors_per_reason]
        codes[slot % (crews * plan.donors_per_reason)] += [turns[slot % len(turns)]] * plan.kept_per_reason
    rare = sum(map(len, codes))
    only = [donor for donor in range(plan.donors) if not codes[donor]]
    # Some donors have more than one reason, as in the corpus: a third of them, or all where there are few donors.
    too = [donor for donor in range(plan.donors) if codes[donor] and donor % 3 == 0]
    hungry = 4 * only + too if crews == len(RARE) else list(range(plan.donors))
    for turn in range(max(round(rare * plan.hungry_share / (1 - plan.hungry_share)), len(hungry))):
        codes[hungry[turn % len(hungry)]].append("hu")
    return codes


def _unkept(plan: Plan, kept: list[list[str]], rng: np.random.Generator) -> list[list[tuple[str, str]]]:
    """Per donor the (code, sound) of what curators drop: no cries, and cries of a reason they do not work with."""
    unkept: list[list[tuple[str, str]]] = [[] for _ in range(plan.donors)]
    cries = sum(map(len, kept))
    for turn in range(max(round(cries * (1 - plan.kept_share) / plan.kept_share), MIN_DONORS_PER_REASON)):
        donor = turn % plan.donors
        unkept[donor].append((str(rng.choice(kept[donor])), str(rng.choice(NOT_CRIES))))
    for turn in range(max(cries // 8, len(UNKEPT))):
        sound = "cry" if turn % 2 else str(rng.choice(NOT_CRIES))
        unkept[turn % plan.donors].append((UNKEPT[turn % len(UNKEPT)], sound))
    return unkept


def _upload_times(count: int, rng: np.random.Generator) -> list[int]:
    """Times in ms: uploads 10 to 60 s apart, one in five some days after the one before."""
    days = np.where(rng.random(count) < 0.2, rng.integers(1, 10, size=count), 0)
    gaps_ms = rng.integers(10_000, 60_000, size=count) + DAY_MS * days
    return (rng.integers(FIRST_UPLOAD_MS, LAST_UPLOAD_MS) + np.cumsum(gaps_ms)).tolist()


def _with_surprises(uploads: list[Upload], rng: np.random.Generator) -> list[Upload]:
    """Add what is odd in the real corpus; curators keep none of it, so no class loses a donor."""
    of_two_genders, of_two_ages = 0, 1
    changed = []
    for upload in uploads:
        if upload.take % 2 and upload.donor.index == of_two_genders:
            upload = replace(upload, gender="m" if upload.gender == "f" else "f")
        if upload.take % 2 and upload.donor.index == of_two_ages:
            upload = replace(upload, age="26" if upload.age == "72" else "72")
        changed.append(upload)
    android, ios = (
        next(replace(upload, sound="cry", code="dk") for upload in uploads if upload.donor.platform == platform)
        for platform in ("android", "ios")
    )
    odd = [
        replace(ios, odd_name=UUID(bytes=rng.bytes(16), version=4)),
        replace(ios, odd_name=UUID(bytes=rng.bytes(16), version=4)),
        replace(ios, duration_s=0.004),
        replace(ios, duration_s=0.36),
        replace(android, duration_s=0.54),
        replace(android, arrived=0.6),
        replace(ios, arrived=0.0),
        ios,
        ios,
    ]
    takes = [*range(1000, 1000 + len(odd) - 1), 1000 + len(odd) - 2]  # the last two are byte-identical
    times = LAST_UPLOAD_MS + 100 * DAY_MS + np.cumsum(rng.integers(10_000, 60_000, size=len(odd)))
    return changed + [
        replace(upload, take=take, recorded_at_ms=int(at)) for upload, take, at in zip(odd, takes, times, strict=True)
    ]
