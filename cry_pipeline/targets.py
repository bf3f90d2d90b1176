"""What may be asked of a recording.

Belongs here: the targets of cohorts, models and bundles, by name and in words. Does not: their classes, which are a
cohort's.
"""

from typing import Literal

Target = Literal["cry", "reason"]
QUESTIONS: dict[Target, str] = {"cry": "Is it a cry?", "reason": "Why does the baby cry?"}
