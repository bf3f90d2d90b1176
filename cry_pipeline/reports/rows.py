"""Columns that several reports' tables share.

Belongs here: evidence and comparisons as columns. Does not: what else a row holds (each report), and what columns
must look like (schemas.py).
"""

from typing import Any

import pandas as pd

from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence

GLANCED = 100
"""Rows of a table that are told in an event log, which is never pruned."""
WORDS = {"score": ("value", "low", "high", "metric"), "change": ("difference", "difference_low", "difference_high")}


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


def in_words(value: float, low: float, high: float, metric: str = "") -> str:
    """Return a number with its interval, and the name of the metric that it is, in a few words."""
    return f"{METRIC_NAMES.get(metric, metric)} {value:.3f} [{low:.3f}, {high:.3f}]".strip()


def glance(table: pd.DataFrame, *columns: str, most: int = GLANCED) -> pd.DataFrame:
    """Return ``columns`` of a report's table, all if none is named, and its first rows, ``most`` of them.

    Two are made of others: ``score`` and ``change`` are the headline metric and a difference, with their intervals.
    """
    made = table.copy()
    for name, parts in WORDS.items():
        if name in columns and name not in table:
            rows = table[list(parts)].itertuples(index=False)
            made[name] = [in_words(*row) if pd.notna(row[0]) else None for row in rows]
    return (made[list(columns)] if columns else table).head(most)


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
