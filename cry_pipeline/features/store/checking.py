"""Is what lies in a store what was written? What is not is set aside, so that its rows are missing and made again.

Belongs here: looking over parts, quickly or byte by byte. Does not: what a fault of a part is (parts.py).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from cry_pipeline.features.store.rows import FeatureStoreError

if TYPE_CHECKING:
    from cry_pipeline.features.store.parts import Part
    from cry_pipeline.features.store.store import FeatureStore

LOG = logging.getLogger("cry_pipeline")


@dataclass(frozen=True)
class VerifyReport:
    """What was checked, and what was wrong, by part or file; bad parts are set aside."""

    parts: int
    bytes: int
    faults: dict[str, str] = field(default_factory=dict)


def set_aside(
    store: "FeatureStore", find: "Callable[[Part], list[str]]", known: "Mapping[str, Part]" = MappingProxyType({})
) -> VerifyReport:
    """Move the parts in which ``find`` finds faults, and those that cannot be opened, to ``quarantine/``.

    Of parts that are ``known``, ``part.json`` is not read again.

    Raises:
        OSError: a file cannot be read here and now (no permission, too few descriptors): its part stays.
    """
    faults: dict[str, str] = {}
    names = store.index.names()
    checked = 0
    for name in names:
        try:
            part = known.get(name) or store.index.load(name)
            wrong = find(part)
            checked += sum(part.sizes.values())
        except FeatureStoreError as error:
            wrong = [str(error)]
        if wrong and store.storage.set_aside(name):
            faults[name] = "; ".join(wrong)
            LOG.warning("feature store %s: part %s is set aside: %s", store.uri, name, faults[name])
    return VerifyReport(len(names), checked, faults)
