"""A study's folder with known numbers, as `ssl_jax.study` would leave it."""

import json
import pathlib
from typing import Any

TOP1 = {  # method -> evaluation -> fraction of each seed; the tests' arithmetic
    'simclr': {'linear': [0.90, 0.91, 0.95], 'knn': [0.86, 0.87, 0.88]},
    'random': {'linear': [0.70, 0.72, 0.71], 'knn': [0.86, 0.86, 0.89]},
    'supervised': {'linear': [0.93]},
}
CLASSES = ('cat', 'dog', '<i>')


def write(folder: pathlib.Path, top1: Any = TOP1, **head: Any) -> pathlib.Path:
  """Writes the study under `folder`; `head` replaces fields of study.json."""
  study = {
      'name': 'fake', 'title': 'A fake study', 'description': 'Numbers by hand.',
      'data': 'three shapes', 'seeds': [0, 1, 2], 'command': 'python -m ssl_jax.study',
      'commit': 'abc1234', 'hardware': '1 CPU', 'started': '2026-01-02T03:04:05',
      'rehearsal': False, 'config': {'batch': 8}, 'methods': list(top1),
      'evaluations': ['linear', 'knn'], 'labels': {'simclr': 'SimCLR'},
      'published': [{'method': 'simclr', 'evaluation': 'linear', 'value': 54.16,
                     'source': 'report D'}]} | head
  put(folder / 'study.json', study)
  for method, evaluations in top1.items():
    for evaluation, values in evaluations.items():
      for seed, value in enumerate(values):
        put(folder / method / f'seed{seed}' / evaluation / 'result.json',
            evaluation_result(value))
        pretrain(folder / method / f'seed{seed}' / 'pretrain', method, seed)
  return folder


def put(path: pathlib.Path, value: Any) -> None:
  """Writes JSON, making folders."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(value), encoding='utf-8')


def evaluation_result(top1: float) -> dict[str, Any]:
  """One evaluation on 300 images, 100 of each class, errors on the third."""
  wrong = round(300 * (1 - top1))
  return {
      'config': {}, 'seconds': 2.0, 'result': {
          'protocol': 'fake', 'chosen': {'l2': 0.001}, 'train': None,
          'validation': {'top1': top1}, 'class_names': CLASSES,
          'test': {'top1': top1, 'top5': 1.0, 'mean_per_class': top1, 'n': 300,
                   'per_class': [1.0, 1.0, 1 - wrong / 100],
                   'confusion': [[100, 0, 0], [0, 100, 0], [0, wrong, 100 - wrong]]}}}


def pretrain(folder: pathlib.Path, method: str, seed: int) -> None:
  """A log of four steps, the loss falling from 4 + seed to 1 + seed."""
  lines = [{'step': i, 'epoch': i / 2, 'time': i * 1.0, 'train/loss': 4 - i + seed,
            'train/contrastive_accuracy': i / 4} for i in range(4)]
  lines += [{'step': i, 'epoch': i / 2, 'knn/top1': 0.5 + i / 10} for i in (1, 3)]
  folder.mkdir(parents=True, exist_ok=True)
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (folder / 'metrics.jsonl').write_text(text, encoding='utf-8')
  put(folder / 'result.json', {
      'config': {'method': {'name': method}, 'epochs': 2, 'seed': seed},
      'result': {'steps': 4, 'seconds': 100.0 + 20 * seed,
                 'images_per_second': 1500.0}})
