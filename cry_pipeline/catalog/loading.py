"""Read the catalog's YAML files into specs.

Belongs here: which files there are, and errors that name file, key and allowed values. Does not: the rules
themselves (specs.py), and what YAML leaves open (yaml_files.py).
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from cry_pipeline.catalog.matrix import Expanded, expand
from cry_pipeline.catalog.specs import ALWAYS_OR_BY_PARAMETER, Catalog
from cry_pipeline.catalog.yaml_files import YamlError, read_yaml

SECTIONS = ("cohorts", "protocols", "feature_sets", "models", "experiments", "champion", "donations")
MAY_BE_EMPTY, MAY_BE_ABSENT = ("champion", "donations"), ("donations",)
PACKAGED = Path(__file__).parent
KINDS = PACKAGED.parent / "features" / "kinds"
LONGEST_FOUND = 80
"""Characters of a wrong value that an error shows."""
MOST_FAULTS = 50
"""Faults that an error shows."""


class CatalogError(ValueError):
    """The catalog does not say something that can be done; the message names file, key and allowed values."""


def load_catalog(folder: Path | None = None) -> Catalog:
    """Read ``<section>.yaml`` for each section from ``folder``, the packaged catalog by default.

    Values are taken as they are written: a number is not made of text or of ``true``, nor text of a number. A
    ``champion.yaml`` that names nothing means that there is no champion yet, and what ``donations.yaml`` leaves out,
    or a catalog without it, has its default.

    Raises:
        CatalogError: a file is missing or is not YAML, a key is there twice or unknown, a value is not allowed, or an
            experiment names something the catalog does not have. The faults of all files are reported at once, one
            to a line, the first :data:`MOST_FAULTS` of them; what refers from one file to another is looked at when
            each is right by itself.
    """
    folder = folder or PACKAGED
    paths = {section: folder / f"{section}.yaml" for section in SECTIONS}
    faults = _strangers(folder)
    contents: dict[str, dict[str, Any]] = {}
    for section, path in paths.items():
        try:
            contents[section] = _read(path, section)
        except YamlError as error:
            faults.append(str(error))
    expanded = expand(contents.get("experiments", {}))
    faults += [f"{paths['experiments']}: {fault}" for fault in expanded.faults]
    sections: dict[str, Any] = {}
    for section, content in contents.items():
        entries = expanded.experiments if section == "experiments" else content
        sections[section], invalid = _validated(entries, section, paths[section], expanded)
        faults += invalid
    if faults:
        raise _refusal(faults)
    try:
        catalog = Catalog(**sections)
    except ValidationError as error:
        said = (f"{paths[str(fault['loc'][0])]}: {fault['msg']}" for fault in error.errors())
        raise _refusal([line.replace("Value error, ", "") for line in said]) from None
    faults = _references(catalog, paths["experiments"], expanded) + _champion(catalog, paths["champion"])
    faults += _extra_kinds(catalog, paths["feature_sets"]) + _kept(catalog, paths["feature_sets"])
    if faults:
        raise _refusal(faults)
    return catalog


def _refusal(faults: list[str]) -> CatalogError:
    lines = "\n".join(faults).splitlines()
    more = [f"… and {len(lines) - MOST_FAULTS} more"] if len(lines) > MOST_FAULTS else []
    return CatalogError("\n".join([*lines[:MOST_FAULTS], *more]))


def _strangers(folder: Path) -> list[str]:
    """Return a fault for each YAML file of ``folder`` that is no section: what it says would not be heard."""
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.suffix.lower() in (".yaml", ".yml"))
    return [
        f"{folder / name}: a catalog has no such file{_meant(name.rpartition('.')[0], SECTIONS, '.yaml')}; "
        f"it has {', '.join(f'{section}.yaml' for section in SECTIONS)}"
        for name in sorted(names)
        if not name.startswith(".") and name not in {f"{section}.yaml" for section in SECTIONS}
    ]


def _meant(name: str, known: tuple[str, ...], suffix: str = "") -> str:
    nearest = get_close_matches(name, known, n=1)
    return f" (is {nearest[0]}{suffix} meant?)" if nearest else ""


def _read(path: Path, section: str) -> dict[str, Any]:
    """Return the entries of the file at ``path``; those that say nothing are left out where it may be empty."""
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        if section in MAY_BE_ABSENT:
            return {}
        files = ", ".join(f"{name}.yaml" for name in SECTIONS)
        raise YamlError(f"{path}: no such file; a catalog has {files}") from None
    if section in MAY_BE_EMPTY and (content is None or isinstance(content, dict)):
        return {key: value for key, value in (content or {}).items() if value is not None}
    if not isinstance(content, dict) or not content:
        raise YamlError(f"{path}: expected names with their parameters, found {_called(content)}")
    return content


def _called(content: Any) -> str:
    return {dict: "no entry", list: "a list", type(None): "nothing"}.get(type(content), f"{content!r:.{LONGEST_FOUND}}")


def _validated(content: Mapping[str, Any], section: str, path: Path, expanded: Expanded) -> tuple[Any, list[str]]:
    """Return a section's specs, or None with what is wrong."""
    adapter = TypeAdapter(get_type_hints(Catalog, include_extras=True)[section])
    try:
        # As JSON, where a strict reader takes a list for a tuple and a date from text, but no number from either.
        return adapter.validate_json(json.dumps(content), strict=True), []
    except ValidationError as error:
        # One fault of a matrix is one of each of its experiments; its first is enough.
        faults: dict[tuple[str, ...], str] = {}
        for fault in error.errors():
            keys = [str(part) for part in fault["loc"] if part != "[key]"]
            if section == "models":
                del keys[1:2]  # the kind, which nobody has written as a key
            name, *rest = keys or [""]
            written = expanded.origins.get(name, (name,))[0] if section == "experiments" else name
            where = expanded.where(name, ".".join(rest)) if written != name else ".".join(keys)
            said = _say(fault, _keys(adapter, fault) if fault["type"] == "extra_forbidden" else ())
            faults.setdefault((written, *rest), f"{path}: {where}: {said}")
        return None, list(faults.values())


def _keys(adapter: TypeAdapter[Any], fault: Any) -> tuple[str, ...]:
    """Return the keys that there are in the specs of a section, of models those of the kind of the one at fault."""
    specs = adapter.json_schema().get("$defs", {}).values()
    kinds = [spec for spec in specs if "kind" in spec["properties"]]
    strangers = [spec for spec in kinds if spec["properties"]["kind"].get("const") not in (None, *fault["loc"])]
    return tuple(key for spec in specs if spec not in strangers for key in spec["properties"])


def _say(fault: Any, keys: tuple[str, ...] = ()) -> str:
    """Return what is wrong; ``keys`` are those that could be meant by one that is unknown."""
    but_found = f" (found {fault['input']!r:.{LONGEST_FOUND}})"
    match fault["type"]:
        case "extra_forbidden":
            return f"no such key{_meant(str(fault['loc'][-1]), keys)}; remove it or check its spelling"
        case "missing":
            return "is missing"
        case "literal_error" | "union_tag_invalid":
            allowed = fault["ctx"].get("expected") or fault["ctx"].get("expected_tags")
            given = fault["input"].get("kind") if isinstance(fault["input"], dict) else fault["input"]
            return f"{given!r:.{LONGEST_FOUND}} is not allowed; allowed: {allowed}"
        case "union_tag_not_found":
            return "kind is missing"
        case "int_type":
            return f"expected a whole number, in decimal and without leading zeros{but_found}"
        case "float_type":
            return f"expected a number, in decimal and without leading zeros{but_found}"
        case "bool_type":
            return f"expected true or false{but_found}"
        case "string_type":
            return f"expected text; put it in quotes if it is meant so{but_found}"
        case "tuple_type":
            return f"expected a list, [a, b]{but_found}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"expected keys with their values{but_found}"
        case _:
            message = fault["msg"].removeprefix("Value error, ")
            return message + ("" if isinstance(fault["input"], dict) else but_found)


def _references(catalog: Catalog, path: Path, expanded: Expanded) -> list[str]:
    """Return what experiments name and the catalog does not have."""
    faults: dict[tuple[str, str, str], str] = {}
    for name, experiment in catalog.experiments.items():
        for field in ("cohort", "feature_set", "model", "protocol"):
            known: dict[str, Any] = getattr(catalog, f"{field}s")
            named = getattr(experiment, field)
            if named not in known:
                where = expanded.where(name, field)
                allowed = ", ".join(sorted(known))
                said = f"{path}: {where}: {named!r} is not in the catalog; allowed: {allowed}"
                faults.setdefault((expanded.origins[name][0], field, named), said)
    return list(faults.values())


def _kept(catalog: Catalog, path: Path) -> list[str]:
    """Return which kinds experiments read that their feature sets do not keep; copies are made of spectrograms."""
    faults: dict[tuple[str, str], str] = {}
    for name, experiment in catalog.experiments.items():
        feature_set, model = catalog.feature_sets.get(experiment.feature_set), catalog.models.get(experiment.model)
        protocol = catalog.protocols.get(experiment.protocol)
        if feature_set is None or model is None or protocol is None or not model.inputs:
            continue
        copied = ("spectrogram",) if protocol.kind == "augment_then_split" else ()
        for kind in {*model.inputs, *copied} - set(feature_set.kinds):
            said = f"{experiment.feature_set}.kinds: {kind} is not kept, which {experiment.model} reads in {name}"
            faults.setdefault((experiment.feature_set, kind), f"{path}: {said}")
    return sorted(faults.values())


def _champion(catalog: Catalog, path: Path) -> list[str]:
    """Return which candidates cannot be exported, or have evidence that is not about new babies."""
    faults = []
    for target, names in (("cry", catalog.champion.cry), ("reason", catalog.champion.reason)):
        for name in names:
            experiment = catalog.experiments.get(name)
            if experiment is None:
                faults.append(f"{name!r} is not in the catalog; allowed: {', '.join(sorted(catalog.experiments))}")
                continue
            cohort, protocol = catalog.cohorts.get(experiment.cohort), catalog.protocols.get(experiment.protocol)
            model = catalog.models.get(experiment.model)
            if cohort is not None and cohort.target != target:
                faults.append(f"{target}: {name}: its cohort {experiment.cohort} has another target")
            if protocol is not None and not protocol.keeps_donors_apart:
                faults.append(f"{target}: {name}: its protocol {experiment.protocol} has donors on both sides")
            if model is not None and not model.exportable:
                faults.append(
                    f"{target}: {name}: {experiment.model} cannot be exported; networks can, support vector machines "
                    "on covariances, and ensembles of these"
                )
    return [f"{path}: {fault}" for fault in faults]


def _extra_kinds(catalog: Catalog, path: Path) -> list[str]:
    """Return a fault for each kind that is asked for by name and that nobody has written.

    A kind is a file in features/kinds/; looking which there are imports none of them.
    """
    written = {module.name for module in iter_modules([str(KINDS)])} - {"interface"} - ALWAYS_OR_BY_PARAMETER
    known = ", ".join(sorted(written)) or "none yet"
    return [
        f"{path}: {name}.extra_kinds: {kind} is no kind of feature; there are {known}"
        for name, spec in catalog.feature_sets.items()
        for kind in spec.extra_kinds
        if kind not in written
    ]
