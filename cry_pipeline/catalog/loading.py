"""Read the catalog's YAML files into specs.

Belongs here: files, and errors that name file, key and allowed values. Does not: the rules
themselves (specs.py).
"""

from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from cry_pipeline.catalog.matrix import Expanded, expand
from cry_pipeline.catalog.specs import Catalog

SECTIONS = ("cohorts", "protocols", "feature_sets", "models", "experiments", "champion")
PACKAGED = Path(__file__).parent


class CatalogError(ValueError):
    """The catalog does not say something that can be done; the message names file, key and allowed values."""


def load_catalog(folder: Path | None = None) -> Catalog:
    """Read ``<section>.yaml`` for each section from ``folder``, the packaged catalog by default.

    Raises:
        CatalogError: a file is missing or is not YAML, a key is unknown, a value is not allowed, or an
            experiment names something the catalog does not have. All faults of a file are reported at once.
    """
    folder = folder or PACKAGED
    paths = {section: folder / f"{section}.yaml" for section in SECTIONS}
    contents = {section: _read(path) for section, path in paths.items()}
    expanded = expand(contents["experiments"])
    if expanded.faults:
        raise CatalogError("\n".join(f"{paths['experiments']}: {fault}" for fault in expanded.faults))
    contents["experiments"] = expanded.experiments
    sections = {section: _validated(contents[section], section, path, expanded) for section, path in paths.items()}
    try:
        catalog = Catalog(**sections)
    except ValidationError as error:
        faults = (f"{paths[str(fault['loc'][0])]}: {fault['msg']}" for fault in error.errors())
        raise CatalogError("\n".join(faults).replace("Value error, ", "")) from None
    _check_references(catalog, paths["experiments"], expanded)
    _check_champion(catalog, paths["champion"])
    return catalog


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(
            f"{path}: no such file; a catalog has {', '.join(f'{name}.yaml' for name in SECTIONS)}"
        ) from None
    except yaml.YAMLError as error:
        raise CatalogError(f"{path}: not YAML: {error}") from None
    if not isinstance(content, dict) or not content:
        raise CatalogError(f"{path}: expected names with their parameters, found {type(content).__name__}")
    return content


def _validated(content: dict[str, Any], section: str, path: Path, expanded: Expanded) -> Any:
    adapter = TypeAdapter(get_type_hints(Catalog, include_extras=True)[section])
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        # One fault of a matrix is one of each of its experiments; its first is enough.
        faults = {}
        for fault in error.errors():
            name, *keys = [str(part) for part in fault["loc"] if part != "[key]"]
            written = expanded.origins.get(name, (name,))[0] if section == "experiments" else name
            where = expanded.where(name, ".".join(keys)) if written != name else ".".join([name, *keys])
            faults.setdefault((written, *keys), f"{path}: {where}: {_say(fault)}")
        raise CatalogError("\n".join(faults.values())) from None


def _say(fault: Any) -> str:
    match fault["type"]:
        case "extra_forbidden":
            return "no such key; remove it or check its spelling"
        case "missing":
            return "is missing"
        case "literal_error" | "union_tag_invalid":
            allowed = fault["ctx"].get("expected") or fault["ctx"].get("expected_tags")
            given = fault["input"].get("kind") if isinstance(fault["input"], dict) else fault["input"]
            return f"{given!r} is not allowed; allowed: {allowed}"
        case _:
            message = fault["msg"].removeprefix("Value error, ")
            return message + ("" if isinstance(fault["input"], dict) else f" (found {fault['input']!r})")


def _check_references(catalog: Catalog, path: Path, expanded: Expanded) -> None:
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
    if faults:
        raise CatalogError("\n".join(faults.values()))


def _check_champion(catalog: Catalog, path: Path) -> None:
    """Refuse candidates that cannot be exported, or whose evidence is not about new babies."""
    faults = []
    for target, names in (("cry", catalog.champion.cry), ("reason", catalog.champion.reason)):
        for name in names:
            experiment = catalog.experiments.get(name)
            if experiment is None:
                faults.append(f"{name!r} is not in the catalog; allowed: {', '.join(sorted(catalog.experiments))}")
                continue
            if catalog.cohorts[experiment.cohort].target != target:
                faults.append(f"{target}: {name}: its cohort {experiment.cohort} has another target")
            if not catalog.protocols[experiment.protocol].grouped:
                faults.append(f"{target}: {name}: its protocol {experiment.protocol} has donors on both sides")
            if not catalog.models[experiment.model].exportable:
                faults.append(
                    f"{target}: {name}: {experiment.model} cannot be exported; networks can, support vector machines "
                    "on covariances, and ensembles of these"
                )
    if faults:
        raise CatalogError("\n".join(f"{path}: {fault}" for fault in faults))
