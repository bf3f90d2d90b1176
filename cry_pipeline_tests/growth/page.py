"""The tables and the plot of docs/growth.md, from what was measured (measured.json).

Belongs here: which tables the page has, and its plot. Does not: measuring, and the model (costs.py).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cry_pipeline_tests.growth import costs
from cry_pipeline_tests.growth.measuring import Cost
from cry_pipeline_tests.growth.tables import compared, curve

MEASURED = Path(__file__).with_name("measured.json")
PAGE = Path(__file__).parents[2] / "docs" / "growth.md"
PLOT = PAGE.with_suffix(".png")
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
LOOKS = ("inventory, again", "manifest", "data versions", "cohort", "folds, donor_hashed", "index of features")
"""What is done again when one recording is added."""
BEGIN, END = "<!-- computed: {} -->", "<!-- end -->"


def measured_of(path: Path = MEASURED) -> dict[str, Any]:
    """Return what was measured: ``after`` and ``before`` what the page tells of, and a sentence on the machine."""
    return json.loads(path.read_text(encoding="utf-8"))


def curves_of(measured: Mapping[str, Any], when: str = "after") -> list[Cost]:
    """Return the figures of today, or those from ``before``."""
    return [Cost(**each) for each in measured[when]]


def bills(measured: Mapping[str, Any]) -> list[costs.Bill]:
    """Return what installations of :data:`SIZES` take, by the figures of the largest size that was measured."""
    found = curves_of(measured)
    largest = max(cost.rows for cost in found)
    own = {cost.stage: cost for cost in found if cost.rows == largest}
    cpu = sum(own[stage].cpu_us_per_row for stage in LOOKS if stage in own)
    memory = max(cost.memory_per_row for stage, cost in own.items() if stage in LOOKS)
    return [costs.bill(size, cpu, memory) for size in SIZES]


def page_tables(measured: Mapping[str, Any]) -> Sequence[str]:
    """Return the tables of the page: the curve, what was mended, the bills, and where their figures are from."""
    after, before = curves_of(measured), curves_of(measured, "before")
    return curve(after), compared(before, after), costs.table(bills(measured)), costs.sources()


def keep(found: Sequence[Cost]) -> None:
    """Note ``found`` as what was measured of today's code, and write the page."""
    measured = measured_of() | {"after": [asdict(cost) for cost in found]}
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    write(measured)


def write(measured: Mapping[str, Any]) -> None:
    """Put tables and plot into the page; what people wrote around them stays."""
    text = PAGE.read_text(encoding="utf-8")
    for number, table in enumerate(page_tables(measured)):
        begin = BEGIN.format(number)
        before, _, rest = text.partition(f"{begin}\n")
        text = f"{before}{begin}\n{table}\n{END}{rest.partition(END)[2]}"
    PAGE.write_text(text, encoding="utf-8")
    _plot(curves_of(measured))


def _plot(found: Sequence[Cost]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for number, stage in enumerate(dict.fromkeys(cost.stage for cost in found)):
        # There are more stages than colours.
        look = {"color": f"C{number % 10}", "marker": "os"[number // 10], "linestyle": ("-", "--")[number // 10]}
        own = sorted((cost for cost in found if cost.stage == stage), key=lambda cost: cost.rows)
        rows = [cost.rows for cost in own]
        axes[0].plot(rows, [cost.cpu_us_per_row for cost in own], label=stage, **look)
        axes[1].plot(rows, [cost.memory_per_row / 1000 for cost in own], label=stage, **look)
    for axis, title in zip(axes, ("CPU of a row, µs", "Memory of a row, kB"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="rows", title=title)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.savefig(PLOT, dpi=80)
    plt.close(figure)
