"""Writes folders of studies with known numbers, as `ssl_jax.study` does."""

import itertools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

TOP1 = {  # method -> evaluation -> fraction of each seed
    'simclr': {'linear': [0.90, 0.91, 0.95], 'knn': [0.86, 0.87, 0.88]},
    'random': {'linear': [0.70, 0.72, 0.71], 'knn': [0.86, 0.86, 0.89]},
    'supervised': {'linear': [0.93]},
}
CLASSES = ('cat', 'dog', '<i>')
ROTATIONS = ('0 degrees', '90 degrees', '180 degrees', '270 degrees')
IMAGES = {'finetune_1pct': 500, 'finetune_100pct': 50000, 'linear_1pct': 500}


def write(folder: pathlib.Path, top1: Any = TOP1, images: Mapping[str, int] = IMAGES,
          **head: Any) -> pathlib.Path:
  """Writes the study under `folder`.

  Args:
    folder: the folder to write.
    top1: method -> evaluation -> accuracy of each seed, as in TOP1. The classes of
      the evaluation 'rotation' are ROTATIONS, those of all others are CLASSES.
    images: evaluation -> number of labelled training images, if it is recorded.
    **head: fields of study.json to replace.
  """
  study = {
      'name': 'fake', 'title': 'A fake study', 'description': 'Numbers by hand.',
      'data': 'three shapes', 'seeds': [0, 1, 2], 'command': 'python -m ssl_jax.study',
      'commit': 'abc1234', 'hardware': '1 CPU', 'started': '2026-01-02T03:04:05',
      'rehearsal': False, 'config': {'batch': 8}, 'methods': list(top1),
      'evaluations': ['linear', 'knn'], 'labels': {'simclr': 'SimCLR'},
      'published': [{'method': 'simclr', 'evaluation': 'linear', 'value': 54.16,
                     'source': 'paper D'}]} | head
  write_json(folder / 'study.json', study)
  for method, evaluations in top1.items():
    for evaluation, values in evaluations.items():
      names = ROTATIONS if evaluation == 'rotation' else CLASSES
      for seed, value in enumerate(values):
        write_json(folder / method / f'seed{seed}' / evaluation / 'result.json',
            evaluation_result(value, names, images.get(evaluation),
                              searched=evaluation.startswith('linear')))
    for seed in range(max(map(len, evaluations.values()), default=0)):
      pretrain(folder / method / f'seed{seed}' / 'pretrain', method, seed)
  return folder


def by_labels(folder: pathlib.Path, **head: Any) -> pathlib.Path:
  """Writes SimCLR and RotNet, fine-tuned on two subsets; SimCLR also probed on one.

  Rotations are requested for RotNet only. Fine-tuning RotNet on all labels has no
  result.
  """
  top1 = {'simclr': {'finetune_1pct': [0.88, 0.90], 'finetune_100pct': [0.94, 0.94],
                     'linear_1pct': [0.80, 0.82], 'linear': [0.9, 0.9]},
          'rotnet': {'rotation': [0.81, 0.83], 'finetune_1pct': [0.40, 0.42],
                     'linear': [0.6]}}
  return write(folder, top1, **{
      'seeds': [0, 1], 'labels': {
          'simclr': 'SimCLR', 'rotnet': 'RotNet', 'linear_set': 'Linear',
          'rotnet/finetune': 'RotNet, unfrozen'},
      'evaluations': ['rotation', 'linear', 'finetune_1pct', 'finetune_100pct',
                      'linear_1pct'],
      'wanted': {'rotation': ['rotnet'], 'linear_1pct': ['simclr']},
      'subsets': {'finetune_1pct': ['finetune', '1pct'],
                  'finetune_100pct': ['finetune', '100pct'],
                  'linear_1pct': ['linear_set', '1pct']},
      'published': [published('simclr', 'finetune_1pct', 89.4),
                    published('simclr', 'finetune_100pct', 94.1),
                    published('rotnet', 'finetune_100pct', 92.1)]} | head)


def by_data_set(folder: pathlib.Path, **head: Any) -> pathlib.Path:
  """Writes SimCLR on two data sets, frozen and fine-tuned.

  The linear probe on Pets is measured by the mean over classes.
  """
  top1 = {'simclr': {'linear_pets': [0.80, 0.82], 'linear_food': [0.60, 0.60],
                     'tuned_pets': [0.90, 0.90]}}
  write(folder, top1, **{
      'seeds': [0, 1], 'labels': {
          'simclr': 'SimCLR', 'food': 'Food-101', 'pets': 'Pets',
          'linear': 'Linear', 'tuned': 'Fine-tuned'},
      'evaluations': ['linear_pets', 'linear_food', 'tuned_pets', 'tuned_food'],
      'data_sets': {f'{group}_{column}': [group, column]
                    for group in ('linear', 'tuned') for column in ('pets', 'food')},
      'published': [published('simclr', 'linear_food', 68.4),
                    published('simclr', 'tuned_pets', 89.2)]} | head)
  for method, seed in ((m, s) for m in top1 for s in (0, 1)):
    path = folder / method / f'seed{seed}' / 'linear_pets' / 'result.json'
    record = json.loads(path.read_text())
    record['result'] |= {'score': 'mean_per_class', 'at_edge': ['l2']}
    record['result']['test'] |= {
        'top1': 0.1, 'confusion': [[8, 2, 0], [50, 50, 0], [0, 0, 40]]}
    write_json(path, record)
  return folder


def heatmap(folder: pathlib.Path, **head: Any) -> pathlib.Path:
  """Writes a heat map of two single cells and their pair, and one listed method.

  Another pair has no result.
  """
  top1 = {'crop': {'nearest': [0.50, 0.52]}, 'blur': {'nearest': [0.20, 0.20]},
          'crop_blur': {'nearest': [0.60, 0.64]}, 'rotate_crop': {},
          'batch_8': {'nearest': [0.70, 0.70]}}
  return write(folder, top1, **{
      'seeds': [0, 1], 'evaluations': ['nearest'],
      'heatmap': {'axes': ['crop', 'gaussian_blur', 'rotate'], 'cells': {
          'crop': [0, 0], 'blur': [1, 1], 'crop_blur': [0, 1], 'rotate_crop': [2, 0]}},
      'published': []} | head)


def compressed(folder: pathlib.Path, **head: Any) -> pathlib.Path:
  """Writes networks of 400 and 1,600 bytes, pruned by both protocols to 50 and 90 %.

  A file has a quarter of the bytes if nothing is pruned, and then the part that is
  kept. The wide network is pruned on the pretext task to 90 % only.
  """
  top1 = {
      'small': {'float_all': [0.9, 0.9], 'bits_all': [0.9, 0.9],
                'half_all': [0.8, 0.8], 'tenth_all': [0.3, 0.3]},
      'wide': {'bits_all': [0.94, 0.94], 'half_all': [0.9, 0.9],
               'tenth_all': [0.6, 0.6], 'random_all': [0.2, 0.2]},
      'small_tenth': {'tenth_all': [0.5, 0.54]},
      'wide_tenth': {'tenth_all': [0.8, 0.8]}}
  section = lambda sparsity, **fields: {'compression': {'sparsity': sparsity, **fields}}
  evaluations = {'float': {'compression': None}, 'bits': section(0),
                 'half': section(0.5), 'tenth': section(0.9),
                 'random': section(0.9, criterion='random')}
  methods = {name: {'compressed_from': name.split('_')[0] + '_net',
                    **section(0.9 if '_' in name else 0)} for name in top1}
  write(folder, top1, **{
      'seeds': [0, 1], 'evaluations': [f'{name}_all' for name in evaluations],
      'wanted': {'random_all': ['wide']},
      'subsets': {f'{name}_all': [name, '100pct'] for name in evaluations},
      'labels': {'small_net': 'Small', 'wide_net': 'Wide', 'tenth': '90 %'},
      'config': {'methods': methods, 'evaluations': evaluations},
      'published': []} | head)
  for method, results in top1.items():
    for name, seed in itertools.product(set(results) - {'float_all'}, (0, 1)):
      path = folder / method / f'seed{seed}' / name / 'result.json'
      record = json.loads(path.read_text())
      sparsity = evaluations[name.removesuffix('_all')]['compression']['sparsity']
      size = 400 if method.startswith('small') else 1600
      record['result']['packed'] = {
          'bytes': size / 4 * (1 - sparsity), 'float32': size, 'sparsity': sparsity,
          'layers': [
              {'name': 'network/encoder/stage1/conv/kernel', 'weights': 300,
               'nonzero': round(300 * (1 - sparsity)) - 10 * seed},
              {'name': 'network/encoder/stem/conv/kernel', 'weights': 100,
               'nonzero': 100},
              {'name': 'head/dense/kernel', 'weights': 50, 'nonzero': 50}]}
      write_json(path, record)
  return folder


def published(method: str, evaluation: str, value: float) -> dict[str, Any]:
  """Returns a published figure as in study.json."""
  return {'method': method, 'evaluation': evaluation, 'value': value,
          'source': 'paper A'}


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes JSON and the folders above it."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(value), encoding='utf-8')


def evaluation_result(top1: float, names: tuple[str, ...] = CLASSES,
                      labelled: int | None = None,
                      searched: bool = False) -> dict[str, Any]:
  """Returns result.json of an evaluation on 100 images of each class.

  Args:
    top1: accuracy; all errors are in the last classes.
    names: names of the classes.
    labelled: number of labelled training images, if it is recorded.
    searched: whether the setting was chosen from three on the validation split.
  """
  classes, n = len(names), 100 * len(names)
  confusion = [[100 * (i == j) for j in range(classes)] for i in range(classes)]
  errors = round(n * (1 - top1))
  for i in reversed(range(classes)):
    confusion[i][i] -= min(errors, 100)
    confusion[i][i - 1] += min(errors, 100)
    errors -= min(errors, 100)
  return {
      'config': {}, 'seconds': 2.0, 'result': {
          'protocol': 'fake', 'chosen': {'l2': 0.001},
          **({'grid': [{'l2': v} for v in (0.001, 0.01, 0.1)]} if searched else {}),
          'train': {'top1': 1.0, 'n': labelled} if labelled else None,
          'validation': {'top1': top1}, 'class_names': names,
          'test': {'top1': top1, 'top5': 1.0, 'mean_per_class': top1, 'n': n,
                   'per_class': [confusion[i][i] / 100 for i in range(classes)],
                   'confusion': confusion}}}


def pretrain(folder: pathlib.Path, method: str, seed: int) -> None:
  """Writes the files of a pre-training of four steps.

  The loss falls from 4 + seed to 1 + seed.

  Args:
    folder: the folder to write.
    method: name of the method.
    seed: its seed.
  """
  lines = [{'step': i, 'epoch': i / 2, 'time': i * 1.0, 'train/loss': 4 - i + seed,
            'train/contrastive_accuracy': i / 4} for i in range(4)]
  lines += [{'step': i, 'epoch': i / 2, 'knn/top1': 0.5 + i / 10} for i in (1, 3)]
  folder.mkdir(parents=True, exist_ok=True)
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (folder / 'metrics.jsonl').write_text(text, encoding='utf-8')
  config = {'method': {'name': method}, 'epochs': 2, 'seed': seed}
  write_json(folder / 'config.json', config)
  write_json(folder / 'result.json', {
      'config': config,
      'result': {'steps': 4, 'seconds': 100.0 + 20 * seed,
                 'images_per_second': 1500.0}})
