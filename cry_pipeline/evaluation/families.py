"""Families: the experiments that asked one cohort the same question, and what a finding is worth among so many.

Belongs here: which experiments are one family, and their verdicts after Holm's correction. Does not: p-values
(nulls.py), the rule of the verdict itself (records.py), and Holm's step-down (comparisons.py).
"""

from collections.abc import Sequence
from itertools import groupby

from cry_pipeline.evaluation.comparisons import holm_adjusted
from cry_pipeline.evaluation.records import Evidence, Family


def in_families(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return ``evidence``, in its order, each with its family and the verdict that follows.

    A family are the experiments on one cohort whose models listen, those that keep donors apart and those that do not
    each by themselves. What hears nothing (a constant answer, metadata) was not tried to find anything, and is in none.
    """
    adjusted: dict[str, Family] = {}
    listening = [result for result in evidence if result.provenance.listens]
    for _, group in groupby(sorted(listening, key=_family), key=_family):
        tried = list(group)
        p_values = holm_adjusted([result.null.p_value for result in tried])
        adjusted |= {
            result.provenance.experiment: Family(tried=len(tried), p_adjusted=p_value)
            for result, p_value in zip(tried, p_values, strict=True)
        }
    return [result.among(adjusted.get(result.provenance.experiment)) for result in evidence]


def _family(result: Evidence) -> tuple[str, bool]:
    return result.provenance.cohort, result.provenance.keeps_donors_apart
