"""How often a rule says what is not so: a share with its error, and the line it is printed as.

Belongs here: counting and printing. Does not: any simulation.
"""

from collections.abc import Iterable
from typing import NamedTuple

from scipy.stats import binomtest


class Rate(NamedTuple):
    """``found`` of ``of`` simulated cases; ``at_most`` is the rate that the rule promises, None where it has none."""

    what: str
    found: int
    of: int
    at_most: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval (Clopper and Pearson) of the rate."""
        found = binomtest(self.found, self.of).proportion_ci(0.95)
        return float(found.low), float(found.high)

    @property
    def kept(self) -> bool:
        """Whether the promise may be true: the rate's interval reaches down to it."""
        return self.at_most is None or self.interval[0] <= self.at_most

    def __str__(self) -> str:
        low, high = self.interval
        promise = (
            "" if self.at_most is None else f"at most {100 * self.at_most:g} %: {'kept' if self.kept else 'BROKEN'}"
        )
        share = f"{100 * self.found / self.of:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        return f"| {self.what} | {share} | {self.found} of {self.of} | {promise} |"


class Figure(NamedTuple):
    """A number that a simulation found and nothing is promised of."""

    what: str
    found: str

    kept = True

    def __str__(self) -> str:
        return f"| {self.what} | {self.found} | | |"


HEADING = "| what | rate [95 % interval] | cases | promised |\n|---|---|---|---|"


def table(lines: "Iterable[Rate | Figure]") -> str:
    """Return ``lines`` as a table of Markdown."""
    return "\n".join([HEADING, *map(str, lines)])
