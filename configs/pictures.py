"""Computes the pictures of a trained encoder that reports show.

    python -m ssl_jax.pictures --checkpoint=runs/simclr --config=configs/pictures.py

It takes seconds to minutes, most of which encodes 2,000 test and 2,000 training images.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.images = 2000  # test images on the maps
  c.bank = 2000    # training images among which neighbours are searched
  c.data = dict()  # all fields are those of the encoder
  return c
