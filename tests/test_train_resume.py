"""Tests that a checkpoint with other data or other arrays is rejected."""

import jax
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import joined, sources
from ssl_jax.train import resume


class Named(sources.Source):
  """A source of four files of two classes."""

  name, image_shape = 'named', (2, 2, 3)

  def __init__(self, files=('a', 'b', 'c', 'd'), labels=(0, 0, 1, 1),
               class_names=('cat', 'dog'), image_shape=(2, 2, 3)):
    self.labels, self.class_names = np.array(labels, np.int32), class_names
    self.file_names, self.image_shape = list(files), image_shape

  file_names = None

  def __len__(self):
    return len(self.labels)

  def read(self, indices):
    raise AssertionError('a fingerprint decodes no image')


HALF = np.array([0, 2])


@pytest.mark.parametrize('changed, sentence', [
    (Named((*'abcdef',), (0,) * 6), 'had 4 images, now there are 6;'),
    (Named(files='abcx'), 'had as many images, but other file names;'),
    (Named(labels=(0, 1, 0, 1)), 'had as many images, but other labels;'),
    (Named(class_names=('cat', 'emu')),
     'had the 2 classes dog, cat, now there are 2: emu, cat;'),
    (Named(image_shape=(4, 4, 3)),
     r'had images of shape \(2, 2, 3\), now they have \(4, 4, 3\);'),
    (Named((*'abcde',), (0, 0, 1, 1, 2), ('cat', 'dog', 'emu')),
     'had 4 images, now there are 5, and had the 2 classes cat, dog, now there are 3: '
     'emu, cat, dog; put')])
def test_data_that_changed_are_named(changed, sentence):
  resume.check_data(Named().description, Named().description)
  with pytest.raises(errors.UserError, match=sentence):
    resume.check_data(Named().description, changed.description)


def test_the_selection_and_both_parts_count():
  part = lambda indices: sources.subset(Named(), np.array(indices), 'part').description
  resume.check_data(part([0, 2]), part([0, 2]))
  with pytest.raises(errors.UserError, match='as many images, but other selection'):
    resume.check_data(part([0, 2]), part([0, 3]))
  both = lambda labels: joined.Joined(Named(), Named(labels=labels), 'j').description
  resume.check_data(both((0, 0, 1, 1)), both((0, 0, 1, 1)))
  with pytest.raises(errors.UserError, match='other labels of both splits'):
    resume.check_data(both((0, 0, 1, 1)), both((1, 0, 1, 1)))


def test_a_checkpoint_without_a_fingerprint_is_accepted():
  old = {'image_shape': (2, 2, 3), 'class_names': ['cat', 'dog']}
  resume.check_data(old, Named(files='wxyz').description)
  with pytest.raises(errors.UserError, match='classes'):
    resume.check_data(old, Named(class_names=('cat',)).description)


def test_a_tree_is_compared_by_paths_shapes_and_dtypes():
  tree = {'a': (np.zeros(2, np.float32), None), 'b': {}}
  resume.check_tree(tree, {'a': [jax.ShapeDtypeStruct((2,), np.float32)]}, 'c')
  with pytest.raises(errors.UserError, match='c is intact .* a/0 is only in the '
                     'checkpoint; continue it with the code'):
    resume.check_tree(tree, {}, 'c')
