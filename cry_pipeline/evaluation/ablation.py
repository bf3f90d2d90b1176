"""The hybrid ablation: does the article's hybrid image help, or is one of its planes enough?

Belongs here: which experiments differ in nothing but their planes, and what their paired comparisons say. Does not:
the comparison itself (comparisons.py), table and page (reports/hybrid_ablation.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cry_pipeline.catalog import Catalog, ExperimentSpec, digest
from cry_pipeline.catalog.networks import PLANES
from cry_pipeline.evaluation.comparisons import compare, holm
from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.evaluation.trainings import FEWEST_TRAININGS, both_guess, lacking

NETWORK = "lfeb_attention_lstm"
"""The kind of model that the article trains."""
HYBRID = "hybrid"


@dataclass(frozen=True)
class Variant:
    """One experiment of an ablation: ``plane`` is :data:`HYBRID` or the only plane that its network sees.

    ``found`` is None where it was not run; ``comparison`` is hybrid − this one, None where either was not run;
    ``guessing`` says that neither of the two is above chance.
    """

    plane: str
    experiment: str
    found: Evidence | None
    comparison: Comparison | None = None
    guessing: bool = False

    @property
    def words(self) -> str:
        """What the comparison says, after Holm's correction, if both were trained often enough."""
        if self.comparison is None:
            return ""
        shown = f"the hybrid is {self.comparison.shown}" if self.comparison.shown else "no difference shown"
        return lacking(self.comparison, network=True, guessing=self.guessing) or shown


@dataclass(frozen=True)
class Ablation:
    """A hybrid experiment, and those that differ in nothing but their planes: same rows, folds, size and seed."""

    cohort: str
    feature_set: str
    protocol: str
    model: str
    seed: int
    variants: tuple[Variant, ...]

    @property
    def comparisons(self) -> list[Comparison]:
        """Hybrid − each single plane that was run."""
        return [variant.comparison for variant in self.variants if variant.comparison]

    @property
    def trainings(self) -> int:
        """Trainings of each variant."""
        return max((variant.found.repeats for variant in self.variants if variant.found), default=1)

    @property
    def sentence(self) -> str:
        """What follows, in words."""
        compared = [(variant, variant.comparison) for variant in self.variants if variant.comparison]
        shown = {variant.plane: None if variant.guessing else found.shown for variant, found in compared}
        if not shown:
            return "Nothing can be compared yet: the hybrid, or every single plane, was not run."
        if all(variant.guessing for variant, _ in compared):
            return "No network is above chance, on the hybrid image or on one plane: there is nothing to tell apart."
        if self.trainings < FEWEST_TRAININGS:
            return (
                "Whether the hybrid image helps is not said: with other seeds and splits each network would come out "
                f"elsewhere, and it takes {FEWEST_TRAININGS} trainings of each to know by how much."
            )
        better = [plane for plane, difference in shown.items() if difference == "better"]
        worse = [plane for plane, difference in shown.items() if difference == "worse"]
        if not better and not worse:
            return f"No difference is shown between the hybrid image and {_or(shown)} alone."
        said = [f"is better than {_and(better)} alone"] if better else []
        said += [f"is worse than {_and(worse)} alone"] if worse else []
        undecided = [plane for plane, difference in shown.items() if difference is None]
        rest = f"; no difference from {_or(undecided)} alone is shown" if undecided else ""
        return f"The hybrid image {' and '.join(said)}{rest}."


def planes_of(catalog: Catalog, model: str) -> tuple[str, ...]:
    """Return the planes of the image that ``model`` sees; empty where it is not of the article's kind."""
    spec = catalog.models[model]
    return tuple(getattr(spec, "planes", PLANES)) if spec.kind == NETWORK else ()


def ablation_experiments(catalog: Catalog) -> list[tuple[str, dict[str, str]]]:
    """Return (hybrid experiment, single-plane experiments by plane) of the catalog, on folds that keep donors apart."""
    apart = {
        name: experiment
        for name, experiment in catalog.experiments.items()
        if catalog.protocols[experiment.protocol].keeps_donors_apart
    }
    ablations = []
    for name, hybrid in apart.items():
        if planes_of(catalog, hybrid.model) != PLANES:
            continue
        singles = {
            plane: other
            for plane in PLANES
            for other, experiment in apart.items()
            if planes_of(catalog, experiment.model) == (plane,) and _kin(catalog, experiment) == _kin(catalog, hybrid)
        }
        if singles:
            ablations.append((name, singles))
    return ablations


def ablation_names(catalog: Catalog) -> list[str]:
    """Return the experiments that any ablation may show; their out-of-fold predictions are needed."""
    return sorted({name for hybrid, singles in ablation_experiments(catalog) for name in (hybrid, *singles.values())})


def ablations(catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold]) -> list[Ablation]:
    """Compare each hybrid run with its single planes, in the headline metric; Holm over each ablation's table.

    Args:
        catalog: says what differs in planes only.
        evidence: of any of its experiments.
        runs: out-of-fold predictions by experiment, of those with evidence that :func:`ablation_names` names.

    Raises:
        EvidenceError: two runs are of other recordings or folds; see comparisons.py.
    """
    by_name = {result.provenance.experiment: result for result in evidence}
    made = []
    for name, singles in ablation_experiments(catalog):
        hybrid = by_name.get(name)
        tested = [other for other in singles.values() if hybrid and other in by_name]
        compared = holm(
            [
                compare(_named(runs, name), _named(runs, other), metric=hybrid.headline_metric)
                for other in tested
                if hybrid
            ]
        )
        comparisons = dict(zip(tested, compared, strict=True))
        variants = [
            Variant(
                plane,
                other,
                by_name.get(other),
                comparisons.get(other),
                guessing=hybrid is not None and other in by_name and both_guess(hybrid, by_name[other]),
            )
            for plane, other in singles.items()
        ]
        spec = catalog.experiments[name]
        made.append(
            Ablation(
                spec.cohort,
                spec.feature_set,
                spec.protocol,
                spec.model,
                spec.seed,
                (Variant(HYBRID, name, hybrid), *variants),
            )
        )
    return made


def _named(runs: Mapping[str, OutOfFold], name: str) -> OutOfFold:
    return replace(runs[name], name=name)


def _kin(catalog: Catalog, experiment: ExperimentSpec) -> tuple:
    """Return all that decides a run but the planes."""
    model = catalog.models[experiment.model].model_dump(mode="json", exclude={"description", "planes"})
    return experiment.cohort, experiment.feature_set, experiment.protocol, experiment.seed, digest(spec=model)


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def _or(names: Iterable[str]) -> str:
    return _and(list(names)).replace(" and ", " or ")
