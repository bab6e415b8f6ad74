"""Tests names of the encoders that lightly, solo-learn and MoCo write."""

import json
import logging

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.weights import prefixes

INNER = ('conv1.weight', 'bn1.running_mean', 'layer1.0.conv1.weight',
         'layer2.0.downsample.0.weight', 'layer4.1.bn2.bias')
NUMBERED = ('0.weight', '1.running_mean', '4.0.conv1.weight', '5.0.downsample.0.weight',
            '7.1.bn2.bias')  # the children of torchvision's ResNet
SHORTER = ('0.weight', '1.running_mean', '2.0.conv1.weight', '3.0.shortcut.0.weight',
           '5.1.bn2.bias')  # the children of lightly's ResNet for CIFAR
FILES = {  # the names of the encoder, and others of the same file
    'torchvision': (INNER, ['fc.weight']),
    'lightly, benchmarks': ([f'backbone.{n}' for n in INNER], [
        'projection_head.layers.0.weight', 'online_classifier.linear.weight']),
    'lightly, tutorials': ([f'backbone.{n}' for n in NUMBERED], [
        'projection_head.layers.0.weight']),
    'lightly, CIFAR': ([f'backbone.{n}' for n in SHORTER], ['dummy_param']),
    'lightly, BYOL': ([f'student_backbone.{n}' for n in INNER], [
        f'teacher_backbone.{n}' for n in INNER]),
    'solo-learn': ([f'backbone.{n}' for n in INNER], [
        'classifier.weight', 'projector.0.weight', 'projector.2.bias',
        *(f'momentum_backbone.{n}' for n in INNER)]),
    'solo-learn 1.0': ([f'encoder.{n}' for n in INNER], ['classifier.weight']),
    'MoCo': ([f'module.encoder_q.{n}' for n in INNER], [
        'module.queue', *(f'module.encoder_k.{n}' for n in INNER)]),
    'DataParallel': ([f'module.model.{n}' for n in INNER], []),
}


def arrays(names, side=7):
  """Returns an array for each name; its value is the position of the name."""
  return {name: np.full((1, 3, side, side), i) for i, name in enumerate(names)}


@pytest.mark.parametrize('library', FILES)
def test_the_encoder_gets_the_names_of_torchvision(library, tmp_path):
  names, others = FILES[library]
  found = prefixes.find(arrays([*names, *others]), tmp_path / 'a.ckpt')
  own = [n for n in others if library == 'torchvision']  # `fc` is a part of it
  assert {n: x.flat[0] for n, x in found.tensors.items()} == {
      n: i for i, n in enumerate([*INNER, *own])}
  assert found.others == [n for n in others if n not in own]


def test_what_is_no_resnet_keeps_its_names(tmp_path):
  names = ['cls_token', 'blocks.0.attn.qkv.weight', 'features.0.weight']
  found = prefixes.find(arrays(names), tmp_path / 'a.pt')
  assert list(found.tensors) == names and not found.others


def test_two_encoders_are_one_sentence(tmp_path):
  names = [f'{module}.{n}' for module in ('backbone', 'net') for n in INNER]
  with pytest.raises(errors.UserError, match="2 encoders, 'backbone.', 'net.'; save"):
    prefixes.find(arrays(names), tmp_path / 'a.pt')


def test_the_cifar_stem_of_solo_learn_is_refused(tmp_path, caplog):
  names, others = FILES['solo-learn']
  path = tmp_path / 'a.ckpt'
  refused = pytest.raises(errors.UserError, match='stem for CIFAR, a 3x3 convolution '
                          'that pads by 2')
  with refused:  # recognised by the classifier next to the encoder
    prefixes.find(arrays([*names, *others], side=3), path)
  with caplog.at_level(logging.WARNING):
    prefixes.find(arrays(names, side=3), path)
  assert 'Its padding is not in the file and is taken as 1' in caplog.text
  caplog.clear()
  for args in ({'data': {'dataset': 'cifar100'}}, {'dataset': 'cifar10'}):
    (tmp_path / 'args.json').write_text(json.dumps(args))
    with refused:
      prefixes.find(arrays(names, side=3), path)
  (tmp_path / 'args.json').write_text('[]')
  with caplog.at_level(logging.WARNING):
    prefixes.find(arrays(names, side=3), path, known_padding=True)
    prefixes.find(arrays([*names, *others], side=7), path)
  assert not caplog.text
