"""Figures as tables in Markdown: the curve over sizes, and how a row's cost changes from one size to the next.

Belongs here: their form. Does not: the figures.
"""

from collections.abc import Sequence

from cry_pipeline_tests.growth.measuring import MIB, Cost


def curve(costs: Sequence[Cost]) -> str:
    """Return a line for each stage: CPU of a row at each size, the last over the first; memory and bytes of a row."""
    rows = sorted({cost.rows for cost in costs})
    found = {(cost.stage, cost.rows): cost for cost in costs}
    head = [f"µs a row at {size:,}" for size in rows]
    lines = [
        f"| stage | {' | '.join(head)} | last over first | CPU s at {rows[-1]:,} | MiB at {rows[-1]:,} |"
        " memory of a row | bytes of a row |",
        "|---" * (len(rows) + 6) + "|",
    ]
    for stage in dict.fromkeys(cost.stage for cost in costs):
        own = [found.get((stage, size)) for size in rows]
        each = [f"{cost.cpu_us_per_row:.1f}" if cost else "" for cost in own]
        first, last = own[0], own[-1]
        rest = [""] * 5
        if last is not None:
            ratio = f"{last.cpu_us_per_row / first.cpu_us_per_row:.2f}" if first else ""
            rest = [
                ratio,
                f"{last.cpu_s:.1f}",
                f"{last.memory_bytes / MIB:.0f}",
                f"{last.memory_per_row:.0f}",
                f"{last.bytes / last.rows:.0f}" if last.bytes else "",
            ]
        lines.append(f"| {' | '.join([stage, *each, *rest])} |")
    return "\n".join(lines)


def compared(before: Sequence[Cost], after: Sequence[Cost]) -> str:
    """Return a line for each stage that was measured before, too, at the same size: CPU of a row."""
    now = {(cost.stage, cost.rows): cost for cost in after}
    lines = ["| stage | rows | µs a row before | after |", "|---|---|---|---|"]
    for cost in before:
        same = now.get((cost.stage, cost.rows))
        if same is not None:
            lines.append(f"| {cost.stage} | {cost.rows:,} | {cost.cpu_us_per_row:.0f} | {same.cpu_us_per_row:.0f} |")
    return "\n".join(lines)
