"""Renames the variables of google-research/simclr's checkpoints as torchvision does.

There, layers are numbered in the order in which the program builds them. Each
convolution is followed by its BatchNorm of the same number, and the shortcut of a block
precedes its other convolutions. All images have values in [0, 1], without
normalisation. Convolutions are padded as in PyTorch; only the max-pool of the stem is
not, see `models.resnet.MAX_POOLS`. launch/convert_google_simclr.py reads checkpoints.
"""

from collections.abc import Mapping

import numpy as np

from ssl_jax import errors

# The blocks of each stage and the convolutions of a block, by the number of all
# convolutions.
_FORMS = {1 + 4 + convolutions * sum(blocks): (blocks, convolutions)
          for blocks, convolutions in (
              ((2, 2, 2, 2), 2), ((3, 4, 6, 3), 2), ((3, 4, 6, 3), 3),
              ((3, 4, 23, 3), 3), ((3, 8, 36, 3), 3), ((3, 24, 36, 3), 3))}
_NORM = {'gamma': 'weight', 'beta': 'bias', 'moving_mean': 'running_mean',
         'moving_variance': 'running_var'}
SCOPE = 'base_model'
METADATA = {'format': 'pt', 'mean': '[0.0, 0.0, 0.0]', 'std': '[1.0, 1.0, 1.0]',
            'max_pool': '"same"'}


def to_torchvision(variables: Mapping[str, np.ndarray]
                   ) -> tuple[dict[str, np.ndarray], list[str]]:
  """Returns the arrays of the encoder by torchvision's names, and the unused names.

  Args:
    variables: arrays by the names in the checkpoint. Only those of the scope
      `base_model` are the encoder; its moving average, heads and optimizer are not.

  Raises:
    errors.UserError: the arrays are not those of a ResNet without selective kernels.
  """
  count = sum(name.startswith(f'{SCOPE}/conv2d') and name.endswith('/kernel')
              for name in variables)
  if count not in _FORMS:
    raise errors.UserError(
        f'the checkpoint has {count} convolutions in {SCOPE}; accepted are '
        f'{", ".join(map(str, sorted(_FORMS)))}, those of ResNets without selective '
        'kernels (sk_ratio=0)')
  found, used = {}, set()
  for i, (conv, norm) in enumerate(_layers(*_FORMS[count])):
    number = f'_{i}' if i else ''
    there = {f'{SCOPE}/conv2d{number}/kernel': f'{conv}.weight', **{
        f'{SCOPE}/batch_normalization{number}/{leaf}': f'{norm}.{name}'
        for leaf, name in _NORM.items()}}
    if missing := sorted(there.keys() - variables.keys()):
      raise errors.UserError(f'the checkpoint lacks {", ".join(missing)}; give a whole '
                             'checkpoint of google-research/simclr')
    for name, own in there.items():
      x = np.asarray(variables[name], np.float32)
      found[own] = np.ascontiguousarray(x.transpose(3, 2, 0, 1) if x.ndim == 4 else x)
    used |= there.keys()
  return found, sorted(variables.keys() - used)


def _layers(blocks: tuple[int, ...], convolutions: int) -> list[tuple[str, str]]:
  """Returns torchvision's names of each convolution and BatchNorm, in build order."""
  layers = [('conv1', 'bn1')]
  for stage, size in enumerate(blocks, start=1):
    for block in range(size):
      name = f'layer{stage}.{block}'
      if block == 0:
        layers.append((f'{name}.downsample.0', f'{name}.downsample.1'))
      layers += [(f'{name}.conv{i}', f'{name}.bn{i}')
                 for i in range(1, convolutions + 1)]
  return layers
