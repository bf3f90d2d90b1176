"""Is what lies in a store what was written? What is not is set aside, so that its rows are missing and made again.

Belongs here: looking over parts, quickly or byte by byte. Does not: what a fault of a part is (parts.py).
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType

from cry_pipeline.features.store.failures import FAILURES, mend_failures
from cry_pipeline.features.store.parts import NewerFormatError, Part
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.storage import sizes_of_parts
from cry_pipeline.features.store.store import DESCRIPTION, FeatureStore

LOG = logging.getLogger("cry_pipeline")


@dataclass(frozen=True)
class VerifyReport:
    """What was checked, and what was wrong, by part or file; bad parts are set aside."""

    parts: int
    bytes: int
    faults: dict[str, str] = field(default_factory=dict)


def set_aside_damaged(store: FeatureStore) -> dict[str, str]:
    """Move parts that cannot be opened, or whose files are lost or of another size, to ``quarantine/``.

    That costs a look at each file; :func:`verify` finds all faults. ``feature_set.json`` is written again where it is
    not what it should be.

    Returns:
        What was wrong, by part.

    Raises:
        NewerFormatError, OSError: as :func:`verify`.
    """
    store.require_writable()
    store.forget_parts()  # what was loaded before may have been damaged since
    with suppress(FeatureStoreError):  # of a part that cannot be opened, which is found below
        store.index.refresh()
    if store.index.present:
        store.mend_description()
    sizes = sizes_of_parts(store.storage)

    def faults(part: Part) -> list[str]:
        # One that came while all were listed may be in the list by half, or not at all: it is looked at by itself.
        seen = part.obvious_faults(sizes.get(part.name, {}))
        return part.obvious_faults(store.storage.sizes(part.path)) if seen else []

    return _set_aside(store, faults, store.index.present).faults


def verify(store: FeatureStore) -> VerifyReport:
    """Check every byte of every part; move bad parts to ``quarantine/``, so that their rows are missing again.

    Raises:
        NewerFormatError: a later version wrote a part, which stays.
        OSError: a file cannot be read here and now (no permission, too few descriptors): its part stays.
    """
    store.require_writable()
    report = _set_aside(store, Part.faults)
    if report.parts and store.mend_description():
        report.faults[DESCRIPTION] = f"{DESCRIPTION} was damaged, and is written again"
    if mend_failures(store.storage):
        report.faults[FAILURES] = f"{FAILURES} was damaged, and is emptied: materialize the feature set again"
    return report


def _set_aside(
    store: FeatureStore, find: Callable[[Part], list[str]], known: Mapping[str, Part] = MappingProxyType({})
) -> VerifyReport:
    """Move the parts in which ``find`` finds faults, and those that cannot be opened, to ``quarantine/``.

    Of parts that are ``known``, ``part.json`` is not read again.
    """
    faults: dict[str, str] = {}
    names = store.index.names()
    checked = 0
    for name in names:
        try:
            part = known.get(name) or store.index.load(name)
            wrong = find(part)
            checked += sum(part.sizes.values())
        except NewerFormatError:
            raise
        except FeatureStoreError as error:
            wrong = [str(error)]
        if wrong and store.storage.set_aside(name):
            faults[name] = "; ".join(wrong)
            LOG.warning("feature store %s: part %s is set aside: %s", store.uri, name, faults[name])
    return VerifyReport(len(names), checked, faults)
