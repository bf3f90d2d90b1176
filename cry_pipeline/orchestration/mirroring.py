"""The mirror in MLflow of what there is now, as an asset and the command want it.

Belongs here: looking up what is to be told. Does not: telling it (publishing/mirror.py).
"""

from typing import TYPE_CHECKING

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.found import find_evidence
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.publishing.mirrored_models import Mirrored


def mirror_of(catalog: Catalog, workspace: Workspace, *, change: bool = True) -> "Mirrored":
    """Tell MLflow of an installation, or say what it would be told; raises as :func:`publishing.mirror.mirror`."""
    from cry_pipeline.publishing.mirror import mirror

    evidence = find_evidence(catalog, workspace, of_before=True).evidence  # as pages show it
    return mirror(workspace.settings, catalog, evidence, change=change)
