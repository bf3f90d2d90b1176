"""How something is measured: rivals in turn within one run, the best of several rounds, and a table of it all.

Belongs here: clocks, rounds, and the form of a figure. Does not: what is measured.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROUNDS = 5
LIBRARIES = ("torch", "numpy", "scipy", "librosa", "numba", "soxr", "av", "zarr", "tensorstore")


class Figure(NamedTuple):
    """One line of the table: what was measured, what came out, what was aimed at."""

    what: str
    found: str
    aim: str = ""
    met: bool | None = None
    """None where nothing is aimed at."""
    ratio: float | None = None
    """The ratio that was found, which can be compared between machines; None: it is none."""
    higher_is_better: bool = True


def ratio(what: str, found: float, at_least: float, detail: str) -> Figure:
    """Return a figure that is better the higher it is; ``detail`` says what the ratio is of."""
    return Figure(what, f"{found:.1f}× ({detail})", f"≥ {at_least:g}×", found >= at_least, found)


def limit(what: str, found: float, at_most: float, unit: str, detail: str = "") -> Figure:
    """Return a figure that is better the lower it is; where ``unit`` is "×" or "%", a ratio."""
    shown = f"{found:.3g} {unit}" + (f" ({detail})" if detail else "")
    ratio = found if unit in ("×", "%") else None
    return Figure(what, shown, f"≤ {at_most:g} {unit}", found <= at_most, ratio, higher_is_better=False)


def seen(what: str, found: float, detail: str) -> Figure:
    """Return a ratio, better the higher it is, at which nothing is aimed."""
    return Figure(what, f"{found:.1f}× ({detail})", ratio=found)


def best_of(
    rivals: Mapping[str, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Return each rival's shortest time in seconds, after one run to warm up; rivals take turns, so that a slower
    spell of the machine is everybody's."""
    for run in rivals.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            started = clock()
            run()
            times[name].append(clock() - started)
    return {name: min(own) for name, own in times.items()}


def median_s(run: Callable[[int], object], times: int) -> float:
    """Return the median time in seconds, by the clock on the wall, of ``run(0)``, ``run(1)``, …"""
    taken = []
    for index in range(times):
        started = time.perf_counter()
        run(index)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def machine() -> str:
    """Return a sentence on what the figures were measured with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}; {libraries}."


def table(figures: list[Figure]) -> str:
    """Return ``figures`` as a table in Markdown."""
    marks = {True: "yes", False: "**no**", None: ""}
    lines = ["| measure | found | aim | met |", "|---|---|---|---|"]
    lines += [f"| {figure.what} | {figure.found} | {figure.aim} | {marks[figure.met]} |" for figure in figures]
    return "\n".join(lines)


class Run(NamedTuple):
    """All figures of one run, and what they were measured with."""

    machine: str
    figures: list[Figure]

    def page(self) -> str:
        """Return it in Markdown."""
        return f"{self.machine}\n\n{table(self.figures)}"

    def write(self, file: Path) -> None:
        """Keep it as JSON."""
        content = {"machine": self.machine, "figures": [figure._asdict() for figure in self.figures]}
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, file: Path) -> "Run":
        """Return what :meth:`write` kept."""
        content = json.loads(file.read_text())
        return cls(content["machine"], [Figure(**figure) for figure in content["figures"]])


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
