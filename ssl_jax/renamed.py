"""Maps names that earlier versions used in configs to the present names.

The config in the files of a run is upgraded silently. In a config that a user writes, a
former name is an error, whose message gives the new name.
"""

from collections.abc import Mapping
from typing import Any

# By section and field; the section may itself be in any other section.
FIELDS = {
    ('data', 'labels'): 'label_subset',
    ('data', 'examples_fraction'): 'subsample',
    ('train', 'encoder_chunks'): 'grad_cache_chunks',
    ('train', 'monitor_endpoint'): 'online_endpoint',
    ('train', 'monitor_pool'): 'online_pool',
    ('', 'labels'): 'display_names',  # in the config of a study
}
PROTOCOLS = {'nearest': 'nn1', 'resplit': 'logistic_random_split',
             'classifier': 'own_head'}
CONFIG_FILES = {
    'report_a.py': 'label_fractions_resnet50.py',
    'report_a_batches.py': 'batch_size_by_epochs.py',
    'report_b.py': 'label_fractions_resnet20.py',
    'report_c.py': 'simclr_nearest_neighbour.py',
    'report_c_ablations.py': 'simclr_ablations.py',
    'report_c_augmentations.py': 'augmentation_pairs.py',
    'report_d.py': 'supervised_counterparts.py',
}


def upgrade(config: Mapping[str, Any], section: str = '') -> dict[str, Any]:
  """Returns a saved config with the present names of its fields and protocols.

  Args:
    config: the plain config of a pre-training, a fine-tuning or an evaluation.
    section: the name of the section that `config` is; '' for a whole config.
  """
  upgraded = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      value = upgrade(value, name)
    if section == 'protocol' and name == 'name':
      value = PROTOCOLS.get(value, value)
    upgraded[FIELDS.get((section, name), name) if section else name] = value
  return upgraded
