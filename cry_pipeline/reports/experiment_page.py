"""One page for each experiment: its verdict in words, and everything that a doubter asks for.

Belongs here: what stands on the page, and when it is current. Does not: evidence (evidence.py), what a run left
behind (run_details.py), figures (figures/), and the page's words and looks (``templates/``).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cry_pipeline import keys
from cry_pipeline.artefacts import is_current
from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.evaluation.subgroups import FEWEST_DONORS
from cry_pipeline.features.kinds import parameters
from cry_pipeline.progress import track
from cry_pipeline.reports.leaderboard import NO_TWIN, twins
from cry_pipeline.reports.page_keys import TEMPLATES, page_spec
from cry_pipeline.reports.pages import EXPERIMENTS, Picture, data_uri, fill, picture, write_page
from cry_pipeline.reports.run_details import RunDetails
from cry_pipeline.side_by_side import in_processes
from cry_pipeline.training.fold_folders import DamagedFoldError

if TYPE_CHECKING:
    from cry_pipeline.reports.figures.style import Theme

LOG = logging.getLogger("cry_pipeline")
STAGE = "experiment_page"
COLUMN_WORDS = {"sample_rate_hz": "sample rate", "duration_s": "duration", "rms_dbfs": "level"}
"""How columns of the manifest are called on the page, where not by their names."""
GROUPS = {"platform": "phone", "age_band": "age", "gender": "gender", "app_version": "version of the app"}
"""What the page calls the columns of the manifest that subgroups are made by."""


def experiment_path(folder: Path, name: str) -> Path:
    """Return where the page of experiment ``name`` lies in the folder of reports."""
    return folder / EXPERIMENTS / f"{name}.html"


def write_experiments(
    catalog: Catalog,
    evidence: Sequence[Evidence],
    details: Callable[[Evidence], RunDetails],
    folder: Path,
    workers: int = 1,
) -> tuple[int, int]:
    """Write the page of each experiment that there is evidence of; returns how many were (made, current).

    Pages of experiments without evidence of now are removed: what is not shown is not mistaken for a result.

    Args:
        catalog: what the experiments are made of.
        evidence: of any of its experiments.
        details: gives an experiment's details; called only for pages that are made.
        folder: where reports lie.
        workers: pages that are made side by side, each in a process of its own.
    """
    names, others = twins(evidence), {result.provenance.experiment: result for result in evidence}
    stale: list[_Page] = []
    for result in evidence:
        twin = others.get(names[result.provenance.experiment])
        key = page_key(catalog, result, twin)
        path = experiment_path(folder, result.provenance.experiment)
        if not is_current(path, key):
            stale.append(_Page(path, key, result, twin))
    asked = [_with_details(page, details) for page in stale]
    make = partial(_make_page, catalog)
    made = (
        in_processes(make, asked, workers) if min(workers, len(asked)) > 1 else ((page, make(page)) for page in asked)
    )
    for _ in track(made, "pages of experiments", total=len(asked), unit="pages"):
        pass
    _remove_others(folder / EXPERIMENTS, others)
    return len(stale), len(evidence) - len(stale)


def current_pages(catalog: Catalog, evidence: Sequence[Evidence], folder: Path) -> dict[str, Path]:
    """Return the page of each experiment whose page is whole and of ``evidence``, by its name."""
    names, others = twins(evidence), {result.provenance.experiment: result for result in evidence}
    pages = {name: experiment_path(folder, name) for name in others}
    return {
        name: path
        for name, path in pages.items()
        if is_current(path, page_key(catalog, others[name], others.get(names[name])))
    }


def page_key(catalog: Catalog, result: Evidence, twin: Evidence | None) -> str:
    """Return the digest of what the page of one experiment is made of."""
    return keys.key(
        STAGE,
        page_spec(STAGE, descriptions=_descriptions(catalog, result), probes=probe_words(catalog, result)),
        {"evidence": result.standing, "twin": twin.standing if twin else None},
    )


class _Page(NamedTuple):
    path: Path
    digest: str
    found: Evidence
    twin: Evidence | None


def _with_details(page: _Page, details: Callable[[Evidence], RunDetails]) -> tuple[_Page, RunDetails]:
    """Return the page with its details; of a run that is damaged it says so, under a key that is not current."""
    try:
        return page, details(page.found)
    except DamagedFoldError as error:
        LOG.warning("%s: what its run left is damaged (%s)", page.found.provenance.experiment, error)
        return page._replace(digest=f"{page.digest}, run damaged"), RunDetails({}, fault=str(error))


def _make_page(catalog: Catalog, asked: tuple[_Page, RunDetails]) -> None:
    page, details = asked
    write_page(page.path, page.digest, lambda: experiment_html(catalog, page.found, details, page.twin))


def experiment_html(catalog: Catalog, result: Evidence, details: RunDetails, twin: Evidence | None = None) -> str:
    """Return the page of one experiment; ``twin`` is the donor-grouped one that a clip-level result is read with."""
    from cry_pipeline.reports.figures.experiments import spectrogram

    name = result.provenance.experiment
    experiment = catalog.experiments[name]
    model = catalog.models[experiment.model]
    return fill(
        TEMPLATES[STAGE],
        root="../",
        title=name,
        place="/".join(catalog.place_of(name)),
        synthetic=result.synthetic,
        found=result,
        twin=twin,
        no_twin=NO_TWIN,
        metric_names=METRIC_NAMES,
        metric=METRIC_NAMES[result.headline_metric],
        descriptions=_descriptions(catalog, result),
        reads_features=bool(model.inputs),
        probe_words=probe_words(catalog, result),
        pictures=_pictures(result, details),
        group_words=GROUPS,
        fewest_donors=FEWEST_DONORS,
        mistakes=[(mistake, data_uri(spectrogram(mistake.mel))) for mistake in details.mistakes],
        heard=catalog.feature_sets[experiment.feature_set],
        fault=details.fault,
        lineage=_lineage(catalog, result, details),
    )


def probe_words(catalog: Catalog, result: Evidence) -> dict[str, str]:
    """Return, by shortcut that was probed, what its probe goes by: columns of the manifest, as the catalog has them."""
    words: dict[str, str] = {}
    for probe in result.probes:
        if probe.experiment is None:
            words[probe.name] = "Only how the same donor's recordings in the training rows are labelled"
            continue
        model = catalog.models[catalog.experiments[probe.experiment].model]
        columns = [COLUMN_WORDS.get(column, column.replace("_", " ")) for column in model.metadata]
        words[probe.name] = f"Only {', '.join(columns)}" if columns else model.description
    return words


def _descriptions(catalog: Catalog, result: Evidence) -> dict[str, tuple[str, str]]:
    """Return (name, description) of what the experiment is made of, by what it is."""
    spec = catalog.experiments[result.provenance.experiment]
    return {
        "cohort": (spec.cohort, catalog.cohorts[spec.cohort].description),
        "model": (spec.model, catalog.models[spec.model].description),
        "features": (spec.feature_set, catalog.feature_sets[spec.feature_set].description),
        "folds": (spec.protocol, catalog.protocols[spec.protocol].description),
    }


def _pictures(result: Evidence, details: RunDetails) -> dict[str, Picture]:
    from cry_pipeline.reports.figures import decisions as decision_plots
    from cry_pipeline.reports.figures import experiments as experiment_plots
    from cry_pipeline.reports.figures import intervals as plots

    name = result.provenance.experiment
    drawn: dict[str, tuple[Callable[[Evidence, Theme], bytes], str]] = {
        "null": (experiment_plots.null, "Null distribution of the headline metric with this run's value."),
        "confusion": (plots.confusion_matrix, "Confusion matrix."),
        "reliability": (experiment_plots.reliability, "Reliability curve with intervals over donors."),
        "abstention": (experiment_plots.abstention, "Accuracy and UAR of the surest predictions, by share given out."),
    }
    if result.roc:
        drawn["roc"] = (plots.roc, "ROC curves, one for each fold.")
    made = {
        key: picture(lambda theme, draw=draw: draw(result, theme), f"{words} {name}.")
        for key, (draw, words) in drawn.items()
    }
    made["recall"] = picture(
        lambda theme: plots.class_recall(result, theme),
        f"Recall of each class with intervals, as in the table of classes. {name}.",
        lambda theme: plots.class_recall(result, theme, narrow=True),
    )
    if result.decisions:
        made["decisions"] = picture(
            lambda theme: decision_plots.decision_curve(result, theme),
            f"Net benefit by threshold with its interval, beside hearing everything and hearing nothing. {name}.",
            lambda theme: decision_plots.decision_curve(result, theme, narrow=True),
        )
    if any(group.headline for group in result.subgroups):
        made["subgroups"] = picture(
            lambda theme: decision_plots.subgroups(result, theme),
            f"Headline metric by subgroup with intervals, as in the table of subgroups. {name}.",
            lambda theme: decision_plots.subgroups(result, theme, narrow=True),
        )
    if details.histories:
        made["learning"] = picture(
            lambda theme: experiment_plots.learning_curves(details.histories, details.best_epochs, theme),
            f"Training and validation loss by epoch of each fold of {name}.",
        )
    return made


def _lineage(catalog: Catalog, result: Evidence, details: RunDetails) -> dict[str, dict[str, Any]]:
    """Return, by heading, what the numbers were made from: digests, parameters, versions."""
    provenance, run = result.provenance, details.lineage
    environment, made_from = run.get("environment", {}), run.get("made_from", {})
    git = environment.get("git") or {}
    return {
        "Digests": {
            "run": provenance.run_digest,
            "evidence": result.digest,
            "features": provenance.feature_digest,
            "folds": made_from.get("inputs", {}).get("folds", "not noted"),
        },
        "Model": _flat(made_from.get("spec", {}).get("model", {})) | {"seed": provenance.seed},
        "Fitted (fold 0-0)": _flat(run.get("fitted", {}))
        | {"training of all folds": "not noted" if details.fault else f"{details.seconds:.0f} s"},
        "Features": _flat(parameters(catalog.feature_sets[provenance.feature_set])),
        "Folds": _flat(catalog.protocols[provenance.protocol].model_dump(mode="json", exclude={"description"}))
        | {"donors on both sides": result.shared_donors},
        "Evidence": {
            "resamples of donors": f"{result.resamples} with seed {result.resampling_seed}; "
            f"{result.resamples_lost} lacked a class and are not used",
            "permutations": result.null.permutations,
            "recordings from": ", ".join(provenance.sources),
        },
        "Versions": {
            "cry_pipeline": environment.get("cry_pipeline", "not noted"),
            "commit": f"{git['commit']}{', with changes' if git.get('modified') else ''}" if git else "not noted",
            "python": environment.get("python", "not noted"),
            **environment.get("libraries", {}),
            "system": environment.get("system", "not noted"),
        },
    }


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Return ``values`` as words: lists with commas, what is nested as ``name: value``."""

    def words(value: Any) -> str:
        if isinstance(value, Mapping):
            return "; ".join(f"{name}: {words(inner)}" for name, inner in value.items())
        return ", ".join(map(words, value)) if isinstance(value, list | tuple) else str(value)

    return {name: words(value) for name, value in values.items()}


def _remove_others(folder: Path, kept: Mapping[str, Evidence]) -> None:
    for path in folder.glob("*.html*"):
        if path.name.split(".html")[0] not in kept:
            path.unlink()
