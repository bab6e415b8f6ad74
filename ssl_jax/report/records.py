"""What a study holds, once read: its description, its runs and their scores."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

_LABELS = {
    'linear': 'Linear probe', 'knn': 'kNN', 'nearest': '1-NN',
    'logistic': 'Logistic regression', 'resplit': 'Logistic, 60,000 resplit',
    'mlp': 'MLP probe', 'conv_block': 'Conv-block probe', 'finetune': 'Fine-tuning',
    'last_stage': 'Last stage retrained', 'rotation': 'Rotations told apart',
    '1pct': '1 %', '10pct': '10 %', '20pct': '20 %', '100pct': '100 %'}


@dataclasses.dataclass(frozen=True)
class Published:
  """A figure that someone else reports, in percent, and where it stands."""

  method: str
  evaluation: str
  value: float
  source: str


@dataclasses.dataclass(frozen=True)
class Heatmap:
  """Methods that are the cells of a grid.

  axes: names of the rows.
  columns: names of the columns, of a grid of two things such as batch size and
    epochs; empty for the unordered pairs of `axes`, with single ones on the diagonal.
  cells: method -> row and column, as indices.
  """

  axes: tuple[str, ...] = ()
  columns: tuple[str, ...] = ()
  cells: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Scores:
  """One evaluation of one seed on the test split. Accuracies are fractions.

  per_class: float [K] or None. confusion: counts [K, K], true class by
  predicted class, or None. images: size of the test split, 0 if unknown.
  labelled: number of labelled training images, 0 if unknown. score: what the
  evaluation is told by, 'top1' or 'mean_per_class'. at_edge: names in `chosen` whose
  value is an end of its grid.
  """

  top1: float
  top5: float | None
  mean_per_class: float | None
  per_class: np.ndarray | None
  confusion: np.ndarray | None
  images: int
  labelled: int
  protocol: str
  chosen: Mapping[str, Any]
  class_names: tuple[str, ...]
  seconds: float | None
  score: str = 'top1'
  at_edge: tuple[str, ...] = ()

  @property
  def accuracy(self) -> float:
    """By the score that the evaluation is told by, a fraction."""
    return self.mean_per_class if self.score == 'mean_per_class' else self.top1

  @property
  def sample(self) -> float:
    """Test images that would tell a top-1 as exactly as these tell `accuracy`.

    A mean over classes is as uncertain as its smallest classes make it.
    """
    if self.score == 'top1' or self.confusion is None:
      return self.images
    count = self.confusion.sum(axis=1)
    count = count[count > 0]
    return len(count)**2 / (1 / count).sum()


@dataclasses.dataclass(frozen=True)
class Run:
  """What is there of one method and one seed.

  metrics: the lines logged during pre-training, in the order written.
  pretrain: `{'config': ..., 'result': ...}`, empty until pre-training is done.
  """

  method: str
  seed: int
  metrics: tuple[Mapping[str, Any], ...]
  pretrain: Mapping[str, Any]
  scores: Mapping[str, Scores]

  def curve(self, name: str) -> np.ndarray:
    """Returns metric `name` over pre-training as [points, 2]: epoch, value.

    The last line of a step wins: a run that was killed repeats the steps since
    its checkpoint. Values that are not finite are left out.
    """
    points = {line['step']: (line['epoch'], line[name]) for line in self.metrics
              if {'step', 'epoch', name} <= line.keys()
              and finite(line['epoch']) and finite(line[name])}
    ordered = [points[step] for step in sorted(points)]
    return np.array(ordered, dtype=np.float64).reshape(-1, 2)


@dataclasses.dataclass(frozen=True)
class Study:
  """A study's description and all its runs, methods in the order it gives.

  rehearsal: the sentence that warns of one; empty where the numbers count.
  wanted: evaluation -> the methods that it applies to; all, where not named.
  subsets: evaluation -> group and column, for a group of evaluations over a
    growing subset of the labels.
  data_sets: likewise, for a group of evaluations on several data sets.
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
  wanted: Mapping[str, tuple[str, ...]]
  subsets: Mapping[str, tuple[str, str]]
  data_sets: Mapping[str, tuple[str, str]]
  heatmap: Heatmap
  labels: Mapping[str, str]
  published: tuple[Published, ...]
  runs: tuple[Run, ...]
  notes: tuple[str, ...]

  def label(self, name: str) -> str:
    """The name to print for a method, an evaluation, a group or a column."""
    if name in self.labels:
      return self.labels[name]
    for cells in (self.subsets, self.data_sets):
      if name in cells:
        return ' on '.join(map(self.label, cells[name]))
    plain = name.replace('_', ' ')
    return plain if name in self.methods else _LABELS.get(name, plain)

  def wants(self, method: str, evaluation: str) -> bool:
    """Whether the study applies `evaluation` to `method`."""
    return (evaluation in self.evaluations
            and method in self.wanted.get(evaluation, self.methods))

  @property
  def listed_methods(self) -> tuple[str, ...]:
    """The methods with a row of their own, which cells of the heat map have not."""
    return tuple(m for m in self.methods if m not in self.heatmap.cells)

  @property
  def listed_evaluations(self) -> tuple[str, ...]:
    """The evaluations with a column of their own: of listed methods, in no group."""
    return tuple(e for e in self.evaluations
                 if e not in self.subsets and e not in self.data_sets
                 and any(self.wants(m, e) for m in self.listed_methods))

  def of(self, method: str) -> list[Run]:
    """The runs of one method, by seed."""
    return [run for run in self.runs if run.method == method]

  def scores(self, method: str, evaluation: str) -> list[Scores]:
    """What is there of one evaluation of one method, by seed."""
    return [run.scores[evaluation] for run in self.of(method)
            if evaluation in run.scores]

  def accuracy(self, method: str, evaluation: str) -> np.ndarray:
    """Test accuracies of the seeds that are there, fractions [n]."""
    return np.array([s.accuracy for s in self.scores(method, evaluation)])

  def per_class(self, method: str, evaluation: str) -> np.ndarray:
    """Accuracies of each class, fractions [n, K]; [0, 0] where not recorded.

    A class that the test split holds no image of is NaN.
    """
    found = [s.per_class for s in self.scores(method, evaluation)
             if s.per_class is not None]
    return np.stack(found) if found else np.zeros((0, 0))

  def images_per_second(self, method: str) -> np.ndarray:
    """Throughput of each seed [n]: as summed up, else the median of its log."""
    found = []
    for run in self.of(method):
      logged = [line['images_per_second'] for line in run.metrics
                if finite(line.get('images_per_second'))]
      total = (run.pretrain.get('result') or {}).get('images_per_second')
      if finite(total) or logged:
        found.append(total if finite(total) else np.median(logged))
    return np.array(found)

  def about_classes(self) -> tuple[str, ...]:
    """The evaluations that record the study's own classes by class.

    Others may tell other things apart, such as rotations, or the classes of another
    data set. First those that most
    methods are to have; of these, those over no subset, then the largest subset.
    """
    names = (self._names(), ())
    found = [e for e in self.evaluations if e not in self.data_sets and any(
        s.per_class is not None and s.class_names in names
        for run in self.runs for s in [run.scores.get(e)] if s)]

    def rank(evaluation):
      subset = evaluation in self.subsets
      wanted = sum(self.wants(m, evaluation) for m in self.listed_methods)
      return -wanted, subset, -subset * self.evaluations.index(evaluation)

    return tuple(sorted(found, key=rank))

  def class_names(self, classes: int) -> tuple[str, ...]:
    """Names of `classes` classes: as recorded, else their numbers."""
    names = self._names()
    return names if len(names) == classes else tuple(map(str, range(classes)))

  def missing(self) -> dict[str, list[str]]:
    """Evaluations that were asked for and are not there, by method and seed."""
    lacking = {f'{self.label(run.method)}, seed {run.seed}': [
        self.label(e) for e in self.evaluations
        if self.wants(run.method, e) and e not in run.scores] for run in self.runs}
    return {run: names for run, names in lacking.items() if names}

  def _names(self) -> tuple[str, ...]:
    """The class names that most results record; the longest list of several."""
    counts = collections.Counter(s.class_names for run in self.runs
                                 for s in run.scores.values() if s.class_names)
    return max(counts, key=lambda names: (counts[names], len(names)), default=())


def finite(value: Any) -> bool:
  """Whether `value` is a number, and neither NaN nor infinite."""
  return (isinstance(value, int | float) and not isinstance(value, bool)
          and bool(np.isfinite(value)))
