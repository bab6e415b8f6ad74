"""Defines the content of a study's files as read-only objects."""

import collections
import dataclasses
import urllib.parse
from collections.abc import Mapping
from typing import Any

import numpy as np

from ssl_jax.report.pictures import Pictures

MethodEvaluation = tuple[str, str]  # a method and an evaluation of it
# Evaluation -> its group and its column, for a group of evaluations that share a table.
Groups = Mapping[str, tuple[str, str]]

# Files of pre-training, relative to a run's folder.
CONFIG = 'pretrain/config.json'
METRICS = 'pretrain/metrics.jsonl'

# Default names, by evaluation or label subset, which a study may replace.
_DISPLAY_NAMES = {
    'linear': 'Linear probe', 'knn': 'kNN', 'nearest': '1-NN', 'nn1': '1-NN',
    'logistic': 'Logistic regression', 'resplit': 'Logistic regression, random split',
    'logistic_random_split': 'Logistic regression, random split',
    'mlp': 'MLP probe', 'conv_block': 'Conv-block probe', 'finetune': 'Fine-tuning',
    'last_stage': 'Last stage retrained', 'rotation': 'Rotation accuracy',
    '1pct': '1 %', '10pct': '10 %', '20pct': '20 %', '100pct': '100 %'}


@dataclasses.dataclass(frozen=True)
class Published:
  """Holds a published accuracy in percent, its source, and what it is compared with."""

  method: str
  evaluation: str
  value: float
  source: str


@dataclasses.dataclass(frozen=True)
class HeatmapLayout:
  """Describes which methods are the cells of a heat map.

  Attributes:
    axes: names of the rows.
    columns: names of the columns, for a grid of two quantities such as batch size and
      epochs. Empty if the cells are the unordered pairs of `axes`; the diagonal then
      has the methods with one of them alone.
    cells: method -> row and column, as indices.
  """

  axes: tuple[str, ...] = ()
  columns: tuple[str, ...] = ()
  cells: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
  """Holds the result of one evaluation of one seed. Accuracies are fractions.

  Attributes:
    top1: accuracy on the test split.
    top5: top-5 accuracy on the test split, or None.
    mean_per_class: mean of the classes' accuracies on the test split, or None.
    per_class: float [K] or None; NaN for a class without test images.
    confusion: counts [K, K], true class by predicted class, or None.
    images: number of test images, 0 if unknown.
    labelled: number of labelled training images, 0 if unknown.
    protocol: a description of the evaluation in one line.
    settings: the evaluator's settings by name.
    searched: whether `settings` were chosen from several on the validation split.
    class_names: names of the K classes; empty if unknown.
    seconds: duration of the evaluation, or None.
    metric: the accuracy that the study compares, 'top1' or 'mean_per_class'.
    at_edge: names in `settings` whose chosen value is an end of the range searched.
    packed: sizes of the file of a compressed network, with 'bytes', 'float32' (bytes)
      and 'sparsity' (a fraction); empty for others.
  """

  top1: float
  top5: float | None
  mean_per_class: float | None
  per_class: np.ndarray | None
  confusion: np.ndarray | None
  images: int
  labelled: int
  protocol: str
  settings: Mapping[str, Any]
  searched: bool
  class_names: tuple[str, ...]
  seconds: float | None
  metric: str = 'top1'
  at_edge: tuple[str, ...] = ()
  packed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def accuracy(self) -> float:
    """Returns the accuracy named by `metric`, a fraction."""
    return self.mean_per_class if self.metric == 'mean_per_class' else self.top1

  @property
  def effective_sample_size(self) -> float:
    """Returns the number of test images that would give top-1 this standard error.

    It is `images` for top-1. The mean over classes is as uncertain as the smallest
    classes make it.
    """
    if self.metric == 'top1' or self.confusion is None:
      return self.images
    count = self.confusion.sum(axis=1)
    count = count[count > 0]
    return len(count)**2 / (1 / count).sum()


@dataclasses.dataclass(frozen=True)
class MethodRun:
  """Holds the results of one method with one seed.

  Attributes:
    method: name of the method.
    seed: its seed.
    metrics: the lines logged during pre-training, in the order written.
    pretrain: `{'config': ..., 'result': ...}`; empty until pre-training is done.
    results: evaluation -> its result.
    folder: the run's folder, relative to the study's.
    files: the config and the log of the training that exist, relative to `folder`.
    pictures: pictures of the encoder, or None.
  """

  method: str
  seed: int
  metrics: tuple[Mapping[str, Any], ...]
  pretrain: Mapping[str, Any]
  results: Mapping[str, EvaluationResult]
  folder: str = ''
  files: tuple[str, ...] = ()
  pictures: Pictures | None = None

  def curve(self, metric: str) -> np.ndarray:
    """Returns a logged metric over pre-training as [points, 2]: epoch, value.

    If the log has several lines for a step, the last one is used, because a run that
    was killed repeats the steps since its checkpoint. Values that are not finite are
    left out.
    """
    points = {line['step']: (line['epoch'], line[metric]) for line in self.metrics
              if {'step', 'epoch', metric} <= line.keys()
              and finite(line['epoch']) and finite(line[metric])}
    ordered = [points[step] for step in sorted(points)]
    return np.array(ordered, dtype=np.float64).reshape(-1, 2)

  def link(self, file: str = '') -> str:
    """Returns the address of a file, or of the folder, from the report's folder."""
    return f'../{urllib.parse.quote(self.folder)}/{urllib.parse.quote(file)}'


@dataclasses.dataclass(frozen=True)
class Study:
  """Holds a study's description and all its runs, methods in the study's order.

  Attributes:
    name, title, description, data, command, commit, hardware, started: texts, which
      are empty if unknown.
    rehearsal: the sentence that warns of a rehearsal; empty for a real study.
    config: the config of the study.
    seeds: the seeds of each method.
    methods: names of the methods.
    evaluations: names of the evaluations.
    requested: evaluation -> the methods that it is requested for; an evaluation that
      is not named is requested for all.
    label_subsets: the evaluations in groups with a growing subset of the labels.
    data_sets: the evaluations in groups with several data sets.
    heatmap: the methods that are cells of a heat map.
    display_names: method, evaluation, group or column -> the name to print.
    published: accuracies for comparison.
    runs: one run for each method and seed.
    notes: sentences about files and figures that were left out.
  """

  name: str
  title: str
  description: str
  data: str
  command: str
  commit: str
  hardware: str
  started: str
  rehearsal: str
  config: Mapping[str, Any]
  seeds: tuple[int, ...]
  methods: tuple[str, ...]
  evaluations: tuple[str, ...]
  requested: Mapping[str, tuple[str, ...]]
  label_subsets: Groups
  data_sets: Groups
  heatmap: HeatmapLayout
  display_names: Mapping[str, str]
  published: tuple[Published, ...]
  runs: tuple[MethodRun, ...]
  notes: tuple[str, ...]

  def display_name(self, name: str) -> str:
    """Returns the name to print for a method, an evaluation, a group or a column."""
    if name in self.display_names:
      return self.display_names[name]
    for groups in (self.label_subsets, self.data_sets):
      if name in groups:
        return ' on '.join(map(self.display_name, groups[name]))
    plain = name.replace('_', ' ')
    return plain if name in self.methods else _DISPLAY_NAMES.get(name, plain)

  def requests(self, method: str, evaluation: str) -> bool:
    """Returns whether the study asks for `evaluation` of `method`."""
    return (evaluation in self.evaluations
            and method in self.requested.get(evaluation, self.methods))

  @property
  def listed_methods(self) -> tuple[str, ...]:
    """Returns the methods that have rows in tables; cells of a heat map do not."""
    return tuple(m for m in self.methods if m not in self.heatmap.cells)

  @property
  def listed_evaluations(self) -> tuple[str, ...]:
    """Returns the evaluations of listed methods that belong to no group."""
    return tuple(e for e in self.evaluations
                 if e not in self.label_subsets and e not in self.data_sets
                 and any(self.requests(m, e) for m in self.listed_methods))

  def runs_of(self, method: str) -> list[MethodRun]:
    """Returns the runs of one method, by seed."""
    return [run for run in self.runs if run.method == method]

  def results(self, method: str, evaluation: str) -> list[EvaluationResult]:
    """Returns the existing results of one evaluation of one method, by seed."""
    return [run.results[evaluation] for run in self.runs_of(method)
            if evaluation in run.results]

  def all_results(self) -> list[tuple[MethodRun, str, EvaluationResult]]:
    """Returns every existing result with its run and evaluation, in study order."""
    return [(run, evaluation, run.results[evaluation]) for method in self.methods
            for evaluation in self.evaluations for run in self.runs_of(method)
            if evaluation in run.results]

  def accuracy(self, method: str, evaluation: str) -> np.ndarray:
    """Returns the test accuracies of the existing seeds, fractions [n]."""
    return np.array([r.accuracy for r in self.results(method, evaluation)])

  def per_class(self, method: str, evaluation: str) -> np.ndarray:
    """Returns the accuracy of each class, fractions [n, K]; [0, 0] if not recorded.

    A class without test images is NaN.
    """
    found = [r.per_class for r in self.results(method, evaluation)
             if r.per_class is not None]
    return np.stack(found) if found else np.zeros((0, 0))

  def evaluations_with_classes(self) -> tuple[str, ...]:
    """Returns the evaluations with accuracies of the study's own classes, best first.

    Rotations and the classes of another data set do not count. Evaluations requested
    for most methods come first; among those, the ones on all labels, then the ones on
    the largest label subset.
    """
    names = (self._class_names(), ())
    found = [e for e in self.evaluations if e not in self.data_sets and any(
        r.per_class is not None and r.class_names in names
        for run in self.runs for r in [run.results.get(e)] if r)]

    def rank(evaluation: str) -> tuple[int, bool, int]:
      subset = evaluation in self.label_subsets
      requested = sum(self.requests(m, evaluation) for m in self.listed_methods)
      return -requested, subset, -subset * self.evaluations.index(evaluation)

    return tuple(sorted(found, key=rank))

  def class_names(self, classes: int) -> tuple[str, ...]:
    """Returns the recorded names of `classes` classes, or else their numbers."""
    names = self._class_names()
    return names if len(names) == classes else tuple(map(str, range(classes)))

  def missing(self) -> dict[str, list[str]]:
    """Returns the names of requested evaluations without a result, by run."""
    missing = {f'{self.display_name(run.method)}, seed {run.seed}': [
        self.display_name(e) for e in self.evaluations
        if self.requests(run.method, e) and e not in run.results]
        for run in self.runs}
    return {run: names for run, names in missing.items() if names}

  def _class_names(self) -> tuple[str, ...]:
    """Returns the class names that most results record; of several, the longest."""
    counts = collections.Counter(r.class_names for run in self.runs
                                 for r in run.results.values() if r.class_names)
    return max(counts, key=lambda names: (counts[names], len(names)), default=())


def finite(value: Any) -> bool:
  """Returns whether `value` is a number that is neither NaN nor infinite."""
  return (isinstance(value, int | float) and not isinstance(value, bool)
          and bool(np.isfinite(value)))
