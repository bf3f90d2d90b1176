"""What a feature set holds: its kinds of features, and the digest that they live under.

Belongs here: which kinds there are, which of them a feature set holds, and in which order they come about. Does not:
what a kind is (interface.py), any one of them (a file each), and how an array is kept (parts.py, store.py).

Every module of this package but interface.py defines one ``KIND``, and is found by being here. So a new kind is one
file, and one entry of the catalog that names it in its ``extra_kinds``.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import numpy as np

from cry_pipeline import keys
from cry_pipeline.catalog import FeatureSetSpec, digest
from cry_pipeline.catalog.base import FEATURE_KINDS
from cry_pipeline.features.kinds.interface import POWER, Kind

FIRST = FEATURE_KINDS
"""The kinds that every feature set computes, in the order in which they are listed; others follow."""

_registered: dict[str, Kind] = {}
KINDS = MappingProxyType(_registered)
"""Every kind there is, by name; which of them a feature set holds, :func:`kinds_of` says."""


def register(kind: Kind) -> None:
    """Add a kind, whose inputs are there already.

    Raises:
        ValueError: its name is taken, or an input is not there or comes too late.
    """
    if kind.name in _registered or kind.name == POWER:
        raise ValueError(f"kind {kind.name}: the name is taken")
    for name in kind.inputs:
        if name != POWER and name not in _registered:
            raise ValueError(f"kind {kind.name}: its input {name} is no kind; there are {', '.join(KINDS)}")
        if kind.by == "recording" and name == POWER:
            raise ValueError(f"kind {kind.name}: {POWER} is given frame by frame only; take spectrogram")
        if kind.by == "frame" and name != POWER and _registered[name].by == "recording":
            raise ValueError(f"kind {kind.name}: its input {name} is of whole recordings, and comes later")
    _registered[kind.name] = kind


def unregister(name: str) -> None:
    """Take away a kind that no other needs."""
    del _registered[name]


def _register_all(kinds: Iterable[Kind]) -> None:
    """Register ``kinds``, each behind its inputs."""
    waiting = {kind.name: kind for kind in kinds}
    while waiting:
        ready = [kind for kind in waiting.values() if not waiting.keys() & set(kind.inputs)]
        if not ready:
            raise ValueError(f"kinds {', '.join(waiting)} are computed from each other")
        for kind in ready:
            register(waiting.pop(kind.name))


_found = {module.name for module in pkgutil.iter_modules(__path__)} - {"interface", *FIRST}
_register_all(importlib.import_module(f"{__name__}.{name}").KIND for name in (*FIRST, *sorted(_found)))


def kinds_of(spec: FeatureSetSpec) -> dict[str, Kind]:
    """Return the kinds that the feature set computes, by name, each behind its inputs.

    Raises:
        ValueError: ``extra_kinds`` names what is no kind, or is not chosen there, or lacks an input.
    """
    for name in spec.extra_kinds:
        if name not in KINDS:
            raise ValueError(f"extra_kinds: {name} is no kind of feature; there are {', '.join(KINDS)}")
        if KINDS[name].present is not None:
            raise ValueError(f"extra_kinds: {name} follows from the other parameters; leave it out")
    chosen = {name: kind for name, kind in KINDS.items() if kind.in_set(spec)}
    for name, kind in chosen.items():
        if lacking := set(kind.inputs) - chosen.keys() - {POWER}:
            raise ValueError(f"{name}: is computed from {', '.join(sorted(lacking))}, which this feature set lacks")
    return chosen


def kept_kinds(spec: FeatureSetSpec) -> dict[str, Kind]:
    """Return those of :func:`kinds_of` that the store keeps; the others are what these are computed from."""
    return {name: kind for name, kind in kinds_of(spec).items() if name in spec.kinds or name not in FIRST}


def parameters(spec: FeatureSetSpec) -> dict[str, Any]:
    """Return all parameters that values depend on, and what is kept, as JSON types, for people."""
    return spec.model_dump(mode="json", exclude=set(spec.uncounted))


def revisions(spec: FeatureSetSpec) -> dict[str, int]:
    """Return the revision of each kind that the feature set holds; other kinds may come and change as they like."""
    return {name: kind.revision for name, kind in kinds_of(spec).items()}


def key_parts(spec: FeatureSetSpec) -> dict[str, Any]:
    """Return what the set's digest is made of, as JSON types; see :func:`feature_set_digest`.

    Raises:
        ValueError: as :func:`kinds_of`.
    """
    return keys.code_parts("feature_set", {"parameters": spec.parts, "kinds": revisions(spec)})


def feature_set_digest(spec: FeatureSetSpec) -> str:
    """Return the digest that the set's arrays live under, and that Dagster takes for the asset's code version.

    It holds the parameters, the revisions of the set's own kinds, that of what they have in common (framing, window,
    power, the samples that are taken), and soxr's version. soxr is in it even where no rate changes: whether one does
    is decided by each recording, not by the set, and one reason to compute anew too many costs a minute, one too few a
    wrong row. What is decoded is not in it: that is in each row's key (:data:`.RowKey` in store/rows.py).

    Raises:
        ValueError: as :func:`kinds_of`; what cannot be computed gets no folder.
    """
    return digest(**key_parts(spec))


def frequencies_hz(spec: FeatureSetSpec, kind: str) -> np.ndarray:
    """Return the centre frequency of each bin of ``spectrogram`` or ``mel``, rising, float64 [bins].

    Raises:
        ValueError: the kind has no frequency axis.
    """
    find = KINDS[kind].frequencies_hz
    if find is None:
        having = [name for name, about in KINDS.items() if about.frequencies_hz]
        raise ValueError(f"{kind} has no frequency axis; {' and '.join(having)} have one")
    return find(spec)
