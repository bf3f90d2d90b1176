"""Pictures of evidence, as PNG bytes.

Belongs here: figures drawn from an Evidence record alone. Does not: figures of recordings, folds and
features (data.py), and how figures look (style.py).
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.reports.figures.forest import NARROW_INCHES, draw_interval, name_rows, row_inches
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png


def confusion_matrix(evidence: Evidence, theme: Theme = LIGHT) -> bytes:
    """Draw what each class is taken for: shade and per cent of the true class, and counts."""
    counts = np.array(evidence.confusion)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    size = len(evidence.classes)
    made = figure(max(4.4, 2.2 + 0.95 * size), 1.6 + 0.62 * size, theme)
    axes = made.subplots()
    axes.imshow(shares, cmap=theme.map, vmin=0, vmax=1, aspect="auto")
    for true in range(size):
        for predicted in range(size):
            share = shares[true, predicted]
            text = f"{share:.0%}\n{counts[true, predicted]}" if totals[true] else "–"
            axes.text(predicted, true, text, ha="center", va="center", fontsize=9, color=theme.ink_on(share))
    names = [_plain(name) for name in evidence.classes]
    axes.set_xticks(range(size), names)
    axes.set_yticks(range(size), [f"{name} ({total})" for name, total in zip(names, totals[:, 0], strict=True)])
    repeats = f", {evidence.repeats} repeats" if evidence.repeats > 1 else ""
    title = f"Confusion matrix\n{evidence.recordings} recordings{repeats}, row = 100 %"
    dress(axes, theme, title=title, x="predicted", y="true (predictions)")
    axes.spines["bottom"].set_visible(False)
    return png(made)


def class_recall(evidence: Evidence, theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw each class' recall with its 95 % interval beside the recall of guessing."""
    classes = [name for name in evidence.classes if name not in evidence.absent_classes]
    made = figure(NARROW_INCHES if narrow else 6.4, 1.3 + (row_inches(narrow=narrow) + 0.08) * len(classes), theme)
    axes = made.subplots()
    for row, name in enumerate(classes):
        recall = evidence.per_class[name].recall
        if recall is not None:
            draw_interval(axes, row, recall, theme)
            axes.text(1.03, row, f"{recall.value:.2f}", va="center", fontsize=9, color=theme.ink)
    axes.axvline(1 / len(classes), color=theme.contrast, linewidth=1.2, linestyle=DASHED)
    support = {name: evidence.per_class[name] for name in classes}
    labels = [f"{_plain(name)} ({tested.recordings} of {tested.donors} donors)" for name, tested in support.items()]
    name_rows(axes, labels, theme, narrow=narrow)
    axes.set_xlim(-0.02, 1.02)
    title = f"Recall of each class, {evidence.recordings} recordings"
    x = "recall, with 95 % interval over donors;" + ("\n" if narrow else " ") + "dashed: guessing"
    dress(axes, theme, title=title, x=x, grid="x")
    return png(made)


def roc(evidence: Evidence, theme: Theme = LIGHT) -> bytes:
    """Draw the ROC curve of each fold's model, and their mean, for a run with two classes."""
    curves = np.array(evidence.roc)
    if not len(curves):
        raise ValueError(
            f"{evidence.provenance.experiment} has {len(evidence.classes)} classes; a ROC curve needs two."
        )
    false = np.linspace(0, 1, curves.shape[1])
    area, positive = evidence.metrics["auc"], evidence.classes[1]
    made = figure(4.8, 4.6, theme)
    axes = made.subplots()
    axes.plot([0, 1], [0, 1], color=theme.contrast, linewidth=1.2, linestyle=DASHED, label="guessing")
    for number, curve in enumerate(curves):
        axes.plot(
            false, curve, color=theme.mark, linewidth=0.9, alpha=0.35, label=None if number else "one fold's model"
        )
    axes.plot(false, curves.mean(axis=0), color=theme.mark, linewidth=2.4, label="mean over folds")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right", frameon=False, fontsize=8.5, labelcolor=theme.ink)
    title = (
        f"Telling {_plain(positive)} from {_plain(evidence.classes[0])}: AUC {area.value:.3f}\n"
        f"95 % interval {area.low:.3f} to {area.high:.3f}, {evidence.recordings} recordings"
    )
    dress(axes, theme, title=title, x="false positive rate", y="true positive rate", grid="both")
    return png(made)


def intervals(evidence: Sequence[Evidence], theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw the headline metric of each experiment with its interval and chance, one panel per cohort.

    Experiments come in the order given, and those of one cohort must stand together.
    """
    panels = [(cohort, list(group)) for cohort, group in groupby(evidence, key=lambda result: result.provenance.cohort)]
    heights = [len(group) + 2.6 for _, group in panels]
    made = figure(NARROW_INCHES if narrow else 8, row_inches(narrow=narrow) * sum(heights) + 0.5, theme)
    parts = made.subplots(len(panels), height_ratios=heights, squeeze=False)[:, 0]
    for axes, (cohort, group) in zip(parts, panels, strict=True):
        first = group[0]
        axes.axvline(first.chance, color=theme.muted, linewidth=1.2, linestyle=DASHED)
        for row, result in enumerate(group):
            at = result.headline
            draw_interval(axes, row, at, theme, apart=result.provenance.keeps_donors_apart)
            text = f"{at.value:.3f}" if narrow else f"{at.value:.3f}  [{at.low:.3f}, {at.high:.3f}]"
            axes.text(1.03, row, text, va="center", fontsize=8.5, color=theme.ink)
        name_rows(axes, labels_of(group), theme, narrow=narrow)
        axes.set(xlim=(0, 1))
        title = f"{cohort}: {first.recordings} recordings of {first.donors} donors"
        cut = "\n" if narrow else " "
        x = f"{METRIC_NAMES[first.headline_metric]}, 95 % interval over donors;{cut}dashed: chance {first.chance:.2f}"
        dress(axes, theme, title=title, x=x, grid="x")
    keys = "●  donors not in training", "◇  donors in training and test"
    made.suptitle(("\n" if narrow else "      ").join(keys), fontsize=9, color=theme.muted)
    return png(made)


def labels_of(group: Sequence[Evidence]) -> list[str]:
    """Return what tells the experiments apart: model and protocol, and the feature set where these are not enough."""
    names = [f"{result.provenance.model} · {result.provenance.protocol}" for result in group]
    return [
        f"{name} · {result.provenance.feature_set}" if names.count(name) > 1 else name
        for name, result in zip(names, group, strict=True)
    ]


def _plain(name: str) -> str:
    return name.replace("_", " ")
