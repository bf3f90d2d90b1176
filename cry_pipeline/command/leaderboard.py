"""The `cry-pipeline leaderboard` command.

Belongs here: a row in the terminal for each row of the report. Does not: evidence, nor anything heavy at import.
"""

from typing import Any

from cry_pipeline.command.terminal import print_table, say, settings


def leaderboard() -> None:
    """Show the evidence of every experiment: each accuracy beside the majority rate, each figure with its interval."""
    from cry_pipeline.reports.leaderboard import read_leaderboard

    table = read_leaderboard(settings().reports)
    rows = [_leaderboard_row(row) for row in table.to_dict("records")]
    print_table(rows, title="SYNTHETIC DATA" if table["synthetic"].any() else None)
    for qualification in sorted(set(table["qualification"]) - {""}):
        say(f"† {qualification}")


def _leaderboard_row(row: dict[Any, Any]) -> dict[str, Any]:
    from cry_pipeline.evaluation.records import METRIC_NAMES

    low, high, metric = row["low"], row["high"], METRIC_NAMES[row["metric"]]
    return {
        "cohort": row["cohort"],
        "model": row["model"],
        "feature set": row["feature_set"],
        "protocol": row["protocol"],
        "headline [95 % interval]": f"{metric} {row['value']:.3f} [{low:.3f}, {high:.3f}]",
        "chance": f"{row['chance']:.3f}",
        "accuracy": f"{row['accuracy']:.3f}",
        "majority": f"{row['majority_rate']:.3f}",
        "verdict": row["verdict"] + (" †" if row["qualification"] else ""),
    }
