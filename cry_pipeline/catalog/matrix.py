"""Short forms of experiments: one entry that stands for several.

Belongs here: expanding them, and what their experiments are called. Does not: files, and what an experiment may say
(loading.py, specs.py).
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import Any

AXES = ("cohort", "model", "protocol", "feature_set")
"""In the order of a name. In the plural, and with a list, each makes an entry a matrix."""
MOST_EXPERIMENTS = 2_000
"""Each is three assets of the graph; the packaged catalog has 55."""
LONGEST_FOUND = 80
"""Characters of a wrong value that an error shows."""


@dataclass
class Expanded:
    """``experiments`` by name, as YAML has them; ``faults`` of entries that could not be expanded, by entry and key."""

    experiments: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    origins: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    """Experiment to its matrix and the axes that are lists there."""

    def where(self, name: str, key: str) -> str:
        """Return where ``key`` of experiment ``name`` is written: ``<entry>.<key>``."""
        entry, listed = self.origins.get(name, (name, frozenset()))
        if entry == name:
            return f"{name}.{key}"
        return f"{entry}.{key}{'s' if key in listed else ''} (as {name})"


def expand(content: dict[str, Any]) -> Expanded:
    """Replace each matrix of ``content`` by its experiments.

    A matrix is an entry with ``cohorts``, ``models``, ``protocols`` or ``feature_sets`` in the place of the singular,
    each a list. Its name is a heading only; its experiments, one for each combination, are called
    ``<cohort>_<model>_<protocol>``, and ``…_<feature_set>`` where the feature sets are a list. Whatever else it says
    holds for each of them.
    """
    expanded = Expanded()
    for entry, keys in content.items():
        listed = [axis for axis in AXES if isinstance(keys, dict) and f"{axis}s" in keys]
        if not listed:
            _add(expanded, entry, keys, entry, listed)
            continue
        faults = _faults(entry, keys, listed)
        expanded.faults += faults
        if faults:
            continue
        makes = math.prod(len(keys[f"{axis}s"]) for axis in listed)
        if len(expanded.experiments) + makes > MOST_EXPERIMENTS:
            expanded.faults.append(
                f"{entry}: makes {makes} experiments; a catalog has at most {MOST_EXPERIMENTS}: shorten its lists"
            )
            continue
        values = [keys[f"{axis}s"] if axis in listed else [keys[axis]] for axis in AXES]
        rest = {key: value for key, value in keys.items() if key.removesuffix("s") not in AXES}
        for chosen in product(*values):
            experiment = dict(zip(AXES, chosen, strict=True))
            parts = AXES if "feature_set" in listed else AXES[:3]
            name = "_".join(str(experiment[axis]) for axis in parts)
            _add(expanded, name, experiment | rest, entry, listed)
    return expanded


def _faults(entry: str, keys: dict[str, Any], listed: list[str]) -> list[str]:
    faults = [f"{entry}.{axis}: is missing" for axis in AXES if axis not in listed and axis not in keys]
    for axis in listed:
        key, names = f"{axis}s", keys[f"{axis}s"]
        if axis in keys:
            faults.append(f"{entry}.{key}: {axis} is there, too; write one of them")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            faults.append(f"{entry}.{key}: expected a list of names, found {names!r:.{LONGEST_FOUND}}")
        elif twice := [name for name, times in Counter(names).items() if times > 1]:
            faults.append(f"{entry}.{key}: {twice[0]!r:.{LONGEST_FOUND}} is there twice; leave one out")
    return faults


def _add(expanded: Expanded, name: str, experiment: Any, entry: str, listed: list[str]) -> None:
    if name in expanded.experiments:
        first = expanded.origins[name][0]
        expanded.faults.append(f"{entry}: makes {name}, which {first} makes already; take it out of one of them")
        return
    expanded.experiments[name] = experiment
    expanded.origins[name] = (entry, frozenset(listed))
