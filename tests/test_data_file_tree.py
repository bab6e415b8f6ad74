"""Tests that a folder is read once, with links, pipes and unusual names in it."""

import os
import pathlib

import pytest

from ssl_jax import errors
from ssl_jax.data import file_tree


def touch(root, *names):
  for name in names:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text('')


def names(root):
  """Returns the paths of all images relative to the root, in their order."""
  return [os.path.relpath(f.path, root) for f in file_tree.read(str(root)).images()]


def left_out(root):
  return dict(file_tree.read(str(root)).count_others())


def test_images_are_known_by_suffix_in_any_case(tmp_path):
  good = ['a.jpg', 'b.JPEG', 'c.TiF', 'd.gif', 'e.jfif', 'f.PNG', 'g h.webp', 'ü猫.bmp']
  touch(tmp_path, *good, 'n.txt', 'm.TXT', 'photo.heic', 'README', '.hidden.png',
        '.ipynb_checkpoints/x.png')
  assert names(tmp_path) == sorted(good)
  assert left_out(tmp_path) == {'file ending in .txt': 2, 'file ending in .heic': 1,
                                'file without a suffix': 1}


def test_a_folder_with_the_suffix_of_an_image_is_a_folder(tmp_path):
  touch(tmp_path, 'x.jpg/0.png', 'x.png')
  tree = file_tree.read(str(tmp_path))
  assert list(tree.folders) == ['x.jpg'] and tree.num_images == 2
  assert names(tmp_path) == ['x.jpg/0.png', 'x.png']


@pytest.mark.parametrize('link, target', [
    ('cat/loop', '..'), ('cat/loop', '.'), ('loop', '.'), ('cat/loop', '../..')])
def test_a_link_to_a_parent_is_not_followed(tmp_path, link, target):
  root = tmp_path / 'root'
  touch(root, 'cat/0.png', 'dog/0.png')
  (root / link).symlink_to(target)
  assert names(root) == ['cat/0.png', 'dog/0.png']
  assert left_out(root) == {'link to a parent folder': 1}


def test_links_between_the_folders_of_a_class_end(tmp_path):
  folders = 'abcde'
  touch(tmp_path, *(f'root/class/sub/{x}/0.png' for x in folders))
  for x in folders:
    for y in folders:
      (tmp_path / 'root/class/sub' / x / f'to_{y}').symlink_to(f'../{y}')
  found = file_tree.read(str(tmp_path / 'root')).images()
  assert len(found) == len({f.real for f in found}) == len(folders)


def test_linked_storage_is_read_and_real_paths_have_no_links(tmp_path):
  touch(tmp_path, 'store/cat/0.png', 'store/cat/more/1.png', 'store/one.png')
  (tmp_path / 'root/dog').mkdir(parents=True)
  (tmp_path / 'root/cat').symlink_to(tmp_path / 'store/cat')
  (tmp_path / 'root/dog/2.png').symlink_to('../../store/one.png')
  found = {os.path.relpath(f.path, tmp_path): f.real
           for f in file_tree.read(str(tmp_path / 'root')).images()}
  assert list(found) == ['root/cat/0.png', 'root/cat/more/1.png', 'root/dog/2.png']
  for path, real in found.items():
    assert real == str((tmp_path / path).resolve())
    assert 'store' in real


def test_a_broken_link_is_an_image_only_by_its_suffix(tmp_path):
  touch(tmp_path, 'cat/0.png')
  for name, target in (('1.png', 'none.png'), ('self.png', 'self.png'),
                       ('unmounted', '/no/such'), ('notes.txt', 'none.txt')):
    (tmp_path / 'cat' / name).symlink_to(target)
  assert names(tmp_path) == ['cat/0.png', 'cat/1.png', 'cat/self.png']
  assert left_out(tmp_path) == {'link to nowhere (unmounted)': 1,
                                'file ending in .txt': 1}


def test_pipes_are_never_opened(tmp_path):
  os.mkfifo(tmp_path / 'pipe.png')
  (tmp_path / 'link.png').symlink_to('pipe.png')
  (tmp_path / 'null.jpg').symlink_to('/dev/null')
  assert names(tmp_path) == []
  assert left_out(tmp_path) == {'pipe': 2, 'device': 1}


def test_a_folder_that_cannot_be_read_is_reported(tmp_path, monkeypatch):
  touch(tmp_path, 'cat/0.png', 'dog/0.png')
  scandir = os.scandir

  def deny(path):  # The superuser, who may run this, can read everything.
    if pathlib.Path(path).name == 'dog':
      raise PermissionError(13, 'Permission denied', path)
    return scandir(path)

  monkeypatch.setattr(os, 'scandir', deny)
  with pytest.raises(errors.UserError, match=r'dog cannot be read \(Permission denied'):
    file_tree.read(str(tmp_path))
