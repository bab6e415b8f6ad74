"""Fine-tunes a SimCLR encoder on the published 1 % or 10 % of ImageNet's labels.

    python -m ssl_jax.finetune --checkpoint=runs/simclr_imagenet \\
        --config=configs/finetune_imagenet.py:1percent \\
        --config.data.label_subset.file_list=/path/imagenet_subsets/1percent.txt \\
        --workdir=runs/simclr_imagenet/1percent

The recipe is that of Chen et al. 2020 (arXiv:2002.05709, B.5): everything is trained,
with crop and flip, SGD with Nesterov momentum at 0.05 x batch / 256, no weight decay
and no warm-up, for 60 epochs on 1 % and 30 on 10 %. The lists are imagenet_subsets/
1percent.txt and 10percent.txt of google-research/simclr. All listed images are trained
on, and ILSVRC's validation images are the test split.

Hardware: a TPU slice, or several GPUs. The published top-1 accuracy of ResNet-50 after
1000 epochs of pre-training is 48.3 / 65.6 % (table 7). It has not been measured here.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs import finetune

PRESETS = {'1percent': 60., '10percent': 30.}


def get_config(subset: str = '1percent') -> ConfigDict:
  c = finetune.get_config('simclr')
  c.feed.batch_size = 4096
  c.train.epochs = PRESETS[subset]
  c.data.validation_fraction = 0.
  c.data.label_subset = dict(file_list=placeholder(str))
  return c
