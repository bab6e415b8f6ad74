"""Evaluations of a frozen encoder on cached features.

    python -m ssl_jax.evaluate --checkpoint=runs/simclr \\
        --config=configs/evaluate.py:linear

Seconds to minutes. What is chosen is chosen on a validation split cut from train;
test is scored once.
"""

from ml_collections import ConfigDict

PRESETS = {
    # Wu et al. 2018 (instance discrimination); T = 0.1 as in lightly and VISSL.
    'knn': dict(name='knn', k=200, temperature=0.1),
    # The nearest training image by Euclidean distance.
    'nn1': dict(name='nn1'),
    # SGD, the best of a grid of 8 learning rates x 5 weight decays.
    'linear': dict(name='linear', epochs=30, refit=False),
    # L-BFGS, the best of 45 strengths of the l2 penalty.
    'logistic': dict(name='logistic', standardise=False, refit=True),
    # L-BFGS on all 60,000 representations, a quarter of them held out at random.
    'logistic_random_split': dict(name='logistic_random_split', test_fraction=0.25),
    # The network's own head: the accuracy of a supervised run.
    'own_head': dict(name='own_head'),
    # RotNet's own task, on every image in all rotations.
    'rotation': dict(name='rotation'),
}


def get_config(protocol: str = 'knn') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.protocol = PRESETS[protocol]
  c.features = dict(
      endpoint='logits' if protocol in ('own_head', 'rotation') else 'pooled',
      pool='mean',                   # of feature maps: mean, max, flatten
      batch_size=512)
  c.data = dict(validation_fraction=0.1)  # all else: as the encoder was trained
  return c
