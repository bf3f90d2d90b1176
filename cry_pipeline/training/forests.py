"""Trees: random forests and gradient boosting, by scikit-learn, kept and asked as plain arrays.

Belongs here: fitting them, taking their nodes out, and walking these with NumPy. Does not: other models.

The nodes of all trees lie behind each other: ``feature`` int32, ``threshold`` float64, ``left`` and ``right`` int32
(a leaf points to itself), ``value`` float64; ``roots`` int32 [trees].
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cry_pipeline.catalog.models import GradientBoostingSpec, RandomForestSpec
from cry_pipeline.training.datasets import Rows, TrainingDataError
from cry_pipeline.training.value_models import Tensors, ValueModel, statistics

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

TRIED = ("1.8", "1.9")
"""Minor versions of scikit-learn whose boosted trees were looked at, and are kept in the same way."""


class RandomForest(ValueModel[RandomForestSpec]):
    """Means of trees; ``value [nodes, classes]`` are the class frequencies in a node."""

    spec = RandomForestSpec

    def values(self, spec: RandomForestSpec, rows: Rows) -> np.ndarray:
        """Return the pooled statistics in float32, as scikit-learn's trees take them."""
        return statistics(rows).astype(np.float32)

    def solve(self, spec: RandomForestSpec, values: np.ndarray, codes: np.ndarray, classes: int, seed: int) -> Tensors:
        """Grow the trees."""
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

        grower = RandomForestClassifier if spec.splits == "best" else ExtraTreesClassifier
        forest = grower(
            spec.trees,
            min_samples_leaf=spec.min_samples_leaf,
            max_features=spec.max_features,  # pyright: ignore[reportArgumentType] - a float too
            class_weight=None if spec.class_weight == "none" else spec.class_weight,
            random_state=seed,
        ).fit(values, codes)
        trees = [tree.tree_ for tree in forest.estimators_]
        return _nodes(
            [tree.feature for tree in trees],
            [tree.threshold for tree in trees],
            [tree.children_left for tree in trees],
            [tree.children_right for tree in trees],
            [tree.value[:, 0, :] for tree in trees],
        )

    def answer(self, spec: RandomForestSpec, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return the mean of the frequencies in the leaves that a recording ends in."""
        return tensors["value"][_leaves(tensors, values)].mean(axis=1)


class GradientBoosting(ValueModel[GradientBoostingSpec]):
    """Sums of trees: ``value [nodes]`` are added to the logit of a tree's class ``of_class [trees]``.

    ``baseline [logits]``: of two classes only the second has a logit.
    """

    spec = GradientBoostingSpec

    def values(self, spec: GradientBoostingSpec, rows: Rows) -> np.ndarray:
        """Return the pooled statistics."""
        return statistics(rows)

    def solve(
        self, spec: GradientBoostingSpec, values: np.ndarray, codes: np.ndarray, classes: int, seed: int
    ) -> Tensors:
        """Grow the trees, one after the other."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        boosting = HistGradientBoostingClassifier(
            max_iter=spec.iterations,
            learning_rate=spec.learning_rate,
            max_leaf_nodes=spec.leaves,
            min_samples_leaf=spec.min_samples_leaf,
            l2_regularization=spec.l2_regularisation,
            max_features=spec.max_features,
            class_weight=None if spec.class_weight == "none" else spec.class_weight,
            early_stopping=False,  # pyright: ignore[reportArgumentType] - inferred from its default
            random_state=seed,
        ).fit(values, codes)
        trees, baseline = _grown(boosting)
        leaf = [tree["is_leaf"].astype(bool) for tree in trees]
        nodes = _nodes(
            [tree["feature_idx"] for tree in trees],
            [tree["num_threshold"] for tree in trees],
            [np.where(is_leaf, -1, tree["left"].astype(np.int64)) for tree, is_leaf in zip(trees, leaf, strict=True)],
            [np.where(is_leaf, -1, tree["right"].astype(np.int64)) for tree, is_leaf in zip(trees, leaf, strict=True)],
            [tree["value"] for tree in trees],
        )
        return {**nodes, "baseline": baseline, "of_class": np.arange(len(trees), dtype=np.int32) % len(baseline)}

    def answer(self, spec: GradientBoostingSpec, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return the softmax of the summed logits."""
        from scipy.special import softmax

        added = tensors["value"][_leaves(tensors, values)]
        logits = tensors["baseline"] + np.stack(
            [added[:, tensors["of_class"] == code].sum(axis=1) for code in range(len(tensors["baseline"]))], axis=1
        )
        if logits.shape[1] == 1:
            logits = np.column_stack([np.zeros(len(logits)), logits])
        return softmax(logits, axis=1)


def _grown(boosting: "HistGradientBoostingClassifier") -> tuple[list[np.ndarray], np.ndarray]:
    """Return the nodes of each tree, as scikit-learn's records, and the baseline of the logits, float64.

    There is no public way to them. This is the one place where private attributes of scikit-learn are read: they are
    the same in the versions :data:`TRIED`, and the tests hold what is made of them against ``predict_proba``.

    Raises:
        TrainingDataError: another version keeps its trees elsewhere.
    """
    try:
        trees = [tree.nodes for grown_together in boosting._predictors for tree in grown_together]
        return trees, np.asarray(boosting._baseline_prediction, dtype=np.float64).ravel()
    except AttributeError as error:
        raise TrainingDataError(
            f"This scikit-learn keeps its boosted trees elsewhere ({error}); install one of {', '.join(TRIED)}."
        ) from error


def _nodes(
    features: Sequence[np.ndarray],
    thresholds: Sequence[np.ndarray],
    lefts: Sequence[np.ndarray],
    rights: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the nodes of all trees behind each other; a child of -1 marks a leaf."""
    sizes = [len(feature) for feature in features]
    roots = np.cumsum([0, *sizes[:-1]])
    itself = np.arange(sum(sizes))
    offset = np.repeat(roots, sizes)
    left, right = np.concatenate(lefts), np.concatenate(rights)
    leaf = left < 0
    return {
        "roots": roots.astype(np.int32),
        "feature": np.where(leaf, 0, np.concatenate(features)).astype(np.int32),
        "threshold": np.where(leaf, 0.0, np.concatenate(thresholds)),
        "left": np.where(leaf, itself, left + offset).astype(np.int32),
        "right": np.where(leaf, itself, right + offset).astype(np.int32),
        "value": np.concatenate(values).astype(np.float64),
    }


def _leaves(tensors: Tensors, values: np.ndarray) -> np.ndarray:
    """Return the leaf of each tree that each row of ``values`` ends in: int ``[recordings, trees]``."""
    rows = np.arange(len(values))[:, None]
    here = np.tile(tensors["roots"], (len(values), 1))
    while True:
        goes_left = values[rows, tensors["feature"][here]] <= tensors["threshold"][here]
        there = np.where(goes_left, tensors["left"][here], tensors["right"][here])
        if (there == here).all():
            return here
        here = there
