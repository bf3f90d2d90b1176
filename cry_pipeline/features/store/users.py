"""Who uses a feature set: the runs that read it, as their folds' ``provenance.json`` say.

Belongs here: reading those records. Does not: anything about how runs are made (training).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from cry_pipeline.artefacts import SEALED, read_json, read_plain
from cry_pipeline.features.store.rows import FeatureStoreError


@dataclass(frozen=True)
class FeatureUse:
    """One run, as ``<experiment>/<run>``, the digest of the feature set it read, and the parts that it saw."""

    run: str
    feature_set: str
    parts: frozenset[str]


def feature_uses(runs: Path) -> list[FeatureUse]:
    """Return which run under the folder ``runs`` read which feature set; runs of models without features are left out.

    Raises:
        FeatureStoreError: a record cannot be read, so that it is not known what its run needs.
    """
    parts: dict[tuple[str, str], set[str]] = {}
    for path in sorted(runs.glob("*/*/*/provenance.json")):
        try:
            record = json.loads(read_plain(path))
            if SEALED in record:  # those of earlier versions are not
                record = read_json(path)
            feature_set, seen = record["made_from"]["inputs"]["features"], record["feature_parts"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise FeatureStoreError(
                f"{path} cannot be read ({error!r}), so it is not known which features its run needs; delete the"
                " folder it lies in, or materialize the run again"
            ) from error
        if feature_set is not None:
            run = path.parents[1].relative_to(runs).as_posix()
            parts.setdefault((run, feature_set), set()).update(seen)
    return [FeatureUse(run, feature_set, frozenset(seen)) for (run, feature_set), seen in parts.items()]
