"""What keys of pages hold besides the data: their templates, in the bytes that they have.

Belongs here: which page is made of which templates. Does not: filling them (pages.py), nor anything that draws: Dagster
asks for these when it loads the code, and drawing is slow to import.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Any

from cry_pipeline.digests import sha256_of

TEMPLATES = MappingProxyType(
    {
        "leaderboard": "leaderboard.html.j2",
        "experiment_page": "experiment.html.j2",
        "site": "index.html.j2",
        "leakage_ladder": "leakage_ladder.html.j2",
        "hybrid_ablation": "hybrid_ablation.html.j2",
        "model_comparison": "model_comparison.html.j2",
        "feature_sets_report": "feature_sets.html.j2",
        "compare": "compare.html.j2",
        "champion_page": "champion.html.j2",
        "manifest_page": "manifest.html.j2",
        "donations_page": "donations.html.j2",
        "live_page": "live.html.j2",
        "store_page": "store.html.j2",
        "relistening_page": "relistening.html.j2",
        "contradicted_labels": "contradicted_labels.html.j2",
        "confusers_page": "confusers.html.j2",
        "flow_page": "flow.html.j2",
        "checklist_page": "checklist.html.j2",
        "how_much_page": "how_much_data.html.j2",
    }
)
"""The template of each stage of :data:`cry_pipeline.keys.STAGES` that makes a page."""
SHARED = ("base.html.j2", "macros.html.j2")
"""Templates that all others are made with."""
SCRIPTS = MappingProxyType({"leaderboard": ("tables.js",), "site": ("tables.js",), "compare": ("compare.js",)})
"""The scripts that the template of a stage includes in its block ``script``, where it has one."""


def page_spec(stage: str, **more: Any) -> dict[str, Any]:
    """Return the spec of a page for its key: the sha256 of templates and scripts, and ``more`` that it is made of."""
    folder = Path(__file__).parent / "templates"
    names = (*SHARED, TEMPLATES[stage], *SCRIPTS.get(stage, ()))
    content = b"".join((folder / name).read_bytes() for name in names)
    return {"templates": sha256_of(content), **more}
