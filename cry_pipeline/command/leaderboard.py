"""The `cry-pipeline leaderboard` command.

Belongs here: a row in the terminal for each row of the report. Does not: evidence, nor anything heavy at import.
"""

from typing import Any

import typer

from cry_pipeline.command.terminal import print_table, settings


def leaderboard() -> None:
    """Show the evidence of every experiment: each accuracy beside the majority rate, each figure with its interval."""
    from cry_pipeline.reports.leaderboard import read_leaderboard

    table = read_leaderboard(settings().reports)
    rows = [_leaderboard_row(found) for found in table.to_dict("records")]
    print_table(rows, title="SYNTHETIC DATA" if table["synthetic"].any() else None)
    for qualification in sorted(set(table["qualification"]) - {""}):
        typer.echo(f"† {qualification}")


def _leaderboard_row(found: dict[Any, Any]) -> dict[str, Any]:
    from cry_pipeline.evaluation.records import METRIC_NAMES

    low, high, metric = found["low"], found["high"], METRIC_NAMES[found["metric"]]
    return {
        "cohort": found["cohort"],
        "model": found["model"],
        "feature set": found["feature_set"],
        "protocol": found["protocol"],
        "headline [95 % interval]": f"{metric} {found['value']:.3f} [{low:.3f}, {high:.3f}]",
        "chance": f"{found['chance']:.3f}",
        "accuracy": f"{found['accuracy']:.3f}",
        "majority": f"{found['majority_rate']:.3f}",
        "verdict": found["verdict"] + (" †" if found["qualification"] else ""),
    }
