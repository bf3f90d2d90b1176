"""What is done with donations: triage, judgements, retraining, drift.

Belongs here: these specs. Does not: doing it (donations/, inference/, orchestration/).
"""

from typing import Literal

from pydantic import Field

from cry_pipeline.catalog.base import Spec


class TriageSpec(Spec):
    """When the champion decides by itself; see ``donations.triage``."""

    cry_precision: float = Field(default=0.95, gt=0.5, le=1, description="asked of what is taken as a cry")
    not_cry_precision: float = Field(default=0.95, gt=0.5, le=1, description="asked of what is set aside")
    audit_share: float = Field(default=0.1, ge=0, le=1, description="of both, what a person hears nevertheless")


class JudgementsSpec(Spec):
    """Which of several people's judgements of a recording counts."""

    rule: Literal["latest", "agreed"] = "latest"


class RetrainingSpec(Spec):
    """When enough is new to train again, and what a challenger must not lose."""

    min_new_donors: int = Field(default=5, ge=1)
    margin: float = Field(default=0.02, ge=0, lt=0.5)


class DriftSpec(Spec):
    """How often drift may be called where there is none."""

    level: float = Field(default=0.05, gt=0, lt=0.5)


class DonationsSpec(Spec):
    """All of ``donations.yaml``; what is left out has its default."""

    triage: TriageSpec = TriageSpec()
    judgements: JudgementsSpec = JudgementsSpec()
    retraining: RetrainingSpec = RetrainingSpec()
    drift: DriftSpec = DriftSpec()
