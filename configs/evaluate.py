"""Evaluates a frozen encoder on cached features.

    python -m ssl_jax.evaluate --checkpoint=runs/simclr \\
        --config=configs/evaluate.py:linear

An evaluation takes seconds to minutes. Settings are chosen on a validation split that
is cut from train, and the test split is scored once.
"""

from ml_collections import ConfigDict

PRESETS = {
    # Wu et al. 2018 (instance discrimination); T = 0.1 as in lightly and VISSL.
    'knn': dict(name='knn', k=200, temperature=0.1),
    # The nearest training image by Euclidean distance.
    'nn1': dict(name='nn1'),
    # SGD with the best setting of a grid of 8 learning rates x 5 weight decays.
    'linear': dict(name='linear', epochs=30, refit=False),
    # L-BFGS with the best of 45 strengths of the l2 penalty.
    'logistic': dict(name='logistic', standardise=False, refit=True),
    # L-BFGS on all 60,000 representations, of which a random quarter is held out.
    'logistic_random_split': dict(name='logistic_random_split', test_fraction=0.25),
    # The network's own classifier gives the accuracy of a supervised run.
    'own_head': dict(name='own_head'),
    # RotNet's task, predicting rotations, on every image in all rotations.
    'rotation': dict(name='rotation'),
}


def get_config(protocol: str = 'knn') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.protocol = PRESETS[protocol]
  c.features = dict(
      endpoint='logits' if protocol in ('own_head', 'rotation') else 'pooled',
      pool='mean',                   # pools feature maps: mean, max, flatten
      batch_size=512)
  c.data = dict(validation_fraction=0.1)  # other fields are those of the encoder
  return c
