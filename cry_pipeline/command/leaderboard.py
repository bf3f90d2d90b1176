"""The `cry-pipeline leaderboard` command.

Belongs here: a row in the terminal for each row of the report. Does not: evidence, nor anything heavy at import.
"""

from typing import TYPE_CHECKING, Any

from cry_pipeline.command.terminal import print_tables, say, settings

if TYPE_CHECKING:
    import pandas as pd


def leaderboard() -> None:
    """Show the evidence of every experiment: each accuracy beside the majority rate, each figure with its interval."""
    from cry_pipeline.evaluation.records import METRIC_NAMES
    from cry_pipeline.reports.leaderboard import read_leaderboard

    table = read_leaderboard(settings().reports)
    synthetic = "SYNTHETIC DATA, " if table["synthetic"].any() else ""
    print_tables(
        {
            f"{synthetic}{cohort}: {METRIC_NAMES[str(metric)]}, chance {chance:.3f}{_tried(rows)}": [
                _leaderboard_row(row) for row in rows.to_dict("records")
            ]
            for (cohort, metric, chance), rows in table.groupby(["cohort", "metric", "chance"], sort=False)
        },
        spare=("accuracy", "majority"),
        folded=("model", "verdict"),
    )
    for qualification in sorted(set(table["qualification"]) - {""}):
        say(f"† {qualification}")


def _tried(rows: "pd.DataFrame") -> str:
    tried = int(rows.loc[rows["qualification"] == "", "tried"].max() if (rows["qualification"] == "").any() else 1)
    return f"; verdicts corrected for {tried} tried" if tried > 1 else ""


def _leaderboard_row(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "model": f"{row['model']} on {row['feature_set']}",
        "protocol": row["protocol"],
        "value [95 % interval]": f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
        "verdict": row["verdict"] + (" †" if row["qualification"] else ""),
        "accuracy": f"{row['accuracy']:.3f}",
        "majority": f"{row['majority_rate']:.3f}",
    }
