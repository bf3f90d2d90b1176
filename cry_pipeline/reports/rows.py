"""Columns that several reports' tables share.

Belongs here: evidence and comparisons as columns. Does not: what else a row holds (each report), and what columns
must look like (schemas.py).
"""

from typing import Any

from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.records import Evidence


def headline_columns(evidence: Evidence) -> dict[str, Any]:
    """Return the headline metric of a run with its 95 % interval, chance and verdict."""
    return {
        "metric": evidence.headline_metric,
        "value": evidence.headline.value,
        "low": evidence.headline.low,
        "high": evidence.headline.high,
        "chance": evidence.chance,
        "verdict": evidence.verdict,
    }


def accuracy_columns(evidence: Evidence) -> dict[str, Any]:
    """Return the accuracy of a run, beside that of a constant answer: one means little without the other."""
    return {"accuracy": evidence.metrics["accuracy"].value, "majority_rate": evidence.majority_rate}


def difference_columns(comparison: Comparison | None) -> dict[str, Any]:
    """Return a paired difference with its interval and p-values; none where there is nothing to compare."""
    if comparison is None:
        return {}
    return {
        "difference": comparison.difference,
        "difference_low": comparison.low,
        "difference_high": comparison.high,
        "p_value": comparison.p_value,
        "p_adjusted": comparison.p_adjusted,
    }
