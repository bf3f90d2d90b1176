"""Model comparison: does any model do better, or worse, than the best baseline on the same folds?

Belongs here: which runs stand side by side, and which of them the others are held against. Does not: the comparison
itself (comparisons.py), table and page (reports/model_comparison.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from cry_pipeline.catalog import Catalog, EnsembleSpec
from cry_pipeline.evaluation.comparisons import compare_table
from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.evaluation.trainings import FEWEST_TRAININGS, both_guess, lacking


@dataclass(frozen=True)
class Contestant:
    """One run; ``comparison`` is this one − the best baseline, None for that one itself.

    ``guessing`` says that neither of the two is above chance.
    """

    found: Evidence
    has_network: bool
    comparison: Comparison | None = None
    guessing: bool = False

    @property
    def model(self) -> str:
        """The model's name in the catalog."""
        return self.found.provenance.model

    @property
    def words(self) -> str:
        """What the comparison says, after Holm's correction; of a network only if it was trained often enough."""
        if self.comparison is None:
            return "the best baseline"
        kept_back = lacking(self.comparison, network=self.has_network, guessing=self.guessing)
        return kept_back or self.comparison.shown or "no difference shown"


@dataclass(frozen=True)
class Contest:
    """Runs on the same recordings, features and folds, the best first."""

    cohort: str
    feature_set: str
    protocol: str
    seed: int
    contestants: tuple[Contestant, ...]

    @property
    def baseline(self) -> Contestant:
        """The run that the others are held against."""
        return next(contestant for contestant in self.contestants if contestant.comparison is None)

    @property
    def sentence(self) -> str:
        """What follows for the networks, in words."""
        name = self.baseline.model
        networks = [contestant for contestant in self.contestants if contestant.has_network]
        if not networks:
            return f"No network was run on these folds; the best baseline is {name}."
        if all(network.guessing for network in networks):
            return (
                f"Neither the best baseline, {name}, nor any network is above chance: there is nothing to tell apart."
            )
        if networks[0].found.repeats < FEWEST_TRAININGS:
            return (
                f"Whether a network is better than the best baseline, {name}, is not said: with other seeds and splits "
                f"each would come out elsewhere, and it takes {FEWEST_TRAININGS} trainings to know by how much."
            )
        better = [network.model for network in networks if network.words == "better"]
        if better:
            return f"Models with a network that are better than the best baseline, {name}: {', '.join(better)}."
        return f"No network, and no ensemble with one, is shown to be better than the best baseline, {name}."


def has_network(catalog: Catalog, model: str) -> bool:
    """Return whether ``model`` is a network or an ensemble with one."""
    spec = catalog.models[model]
    return any(member.is_network for member in (spec.specs if isinstance(spec, EnsembleSpec) else (spec,)))


def contest_names(catalog: Catalog) -> list[str]:
    """Return the experiments that may be compared: those on folds that keep donors apart, of models that listen."""
    return sorted(
        name
        for name, experiment in catalog.experiments.items()
        if catalog.protocols[experiment.protocol].keeps_donors_apart and catalog.models[experiment.model].inputs
    )


def contests(catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold]) -> list[Contest]:
    """Hold each run against the best baseline of its folds, in the headline metric; Holm over each table.

    A baseline holds no network. Of several that with the best headline is taken: having been chosen for its figure it
    is lucky in part, so that to be better than it is asked more of a model than of one named beforehand.

    Args:
        catalog: says what models are.
        evidence: of any of its experiments.
        runs: out-of-fold predictions by experiment, of those with evidence that :func:`contest_names` names.

    Raises:
        EvidenceError: two runs are of other recordings or folds; see comparisons.py.
    """
    names = set(contest_names(catalog))
    shown = sorted((result for result in evidence if result.provenance.experiment in names), key=_where)
    made = []
    for where, group in groupby(shown, key=_where):
        ranked = sorted(group, key=lambda result: -result.headline.value)
        by_name = {result.provenance.experiment: result for result in ranked}
        networks = {name: has_network(catalog, result.provenance.model) for name, result in by_name.items()}
        best = next((name for name in by_name if not networks[name]), None)
        if best is None or len(ranked) < 2:
            continue
        tested = {name: runs[name] for name in by_name}
        compared = {pair.first: pair for pair in compare_table(tested, best, ranked[0].headline_metric)}
        contestants = (
            Contestant(result, networks[name], compared.get(name), both_guess(result, by_name[best]))
            for name, result in by_name.items()
        )
        made.append(Contest(*where, tuple(contestants)))
    return made


def _where(result: Evidence) -> tuple[str, str, str, int]:
    run = result.provenance
    return run.cohort, run.feature_set, run.protocol, run.seed
