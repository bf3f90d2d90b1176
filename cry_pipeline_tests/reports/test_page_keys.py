"""Keys of pages hold their templates: a page is current only if they have not changed since."""

from pathlib import Path

import pytest
from jinja2 import Environment, PackageLoader, meta

from cry_pipeline import keys
from cry_pipeline.reports import page_keys
from cry_pipeline.reports.page_keys import SCRIPTS, SHARED, TEMPLATES, page_spec

FOLDER = Path(page_keys.__file__).parent / "templates"


def test_every_template_is_that_of_a_stage_or_shared() -> None:
    scripts = {name for names in SCRIPTS.values() for name in names}
    assert {path.name for path in FOLDER.iterdir()} == {*SHARED, *TEMPLATES.values(), *scripts}
    assert set(TEMPLATES) <= set(keys.STAGES)


@pytest.mark.parametrize("stage", TEMPLATES)
def test_no_page_is_made_with_a_template_or_script_that_its_key_lacks(stage: str) -> None:
    environment = Environment(loader=PackageLoader("cry_pipeline.reports"), autoescape=True)
    used = meta.find_referenced_templates(environment.parse((FOLDER / TEMPLATES[stage]).read_text(encoding="utf-8")))
    assert set(used) - set(SHARED) == set(SCRIPTS.get(stage, ()))


@pytest.mark.parametrize("changed", ["leaderboard.html.j2", *SHARED])
def test_a_changed_template_changes_the_key(changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {stage: keys.key(stage, page_spec(stage), []) for stage in TEMPLATES}
    for path in FOLDER.iterdir():
        content = path.read_text(encoding="utf-8") + ("<!-- other -->" if path.name == changed else "")
        (tmp_path / "templates").mkdir(exist_ok=True)
        (tmp_path / "templates" / path.name).write_text(content, encoding="utf-8")
    monkeypatch.setattr(page_keys, "__file__", str(tmp_path / "page_keys.py"))
    after = {stage: keys.key(stage, page_spec(stage), []) for stage in TEMPLATES}
    felt = {stage for stage in TEMPLATES if before[stage] != after[stage]}
    assert felt == (set(TEMPLATES) if changed in SHARED else {"leaderboard"})
