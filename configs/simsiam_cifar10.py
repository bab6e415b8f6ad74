"""Pre-trains an encoder by SimSiam on CIFAR-10 (arXiv:2011.10566, appendix D).

    python -m ssl_jax.pretrain --config=configs/simsiam_cifar10.py \\
        --workdir=runs/simsiam
    python -m ssl_jax.pretrain --config=configs/simsiam_cifar10.py:resnet20 \\
        --workdir=runs/simsiam_resnet20

The published linear accuracy of ResNet-18 after 800 epochs is 91.8 % (figure D.1 of
the paper, where SimCLR has 91.1 %). The recipe is the paper's: SGD with base rate 0.03,
cosine decay, weight decay 5e-4, batch 512, no blur, and a projector of two layers. The
learning rate of the predictor stays at its peak (section 4.2 and the paper's code).
This config has not been run at full length here. docs/results.md has our results on a
CPU.
"""

from ml_collections import ConfigDict

from configs import cifar10

PRESETS = cifar10.PRESETS


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = cifar10.pretraining(model, batch_size=512, epochs=800.)
  c.augment = dict(
      recipe='torchvision', strength=0.5, area=(0.2, 1.0), blur=0.)
  c.method = dict(name='simsiam')
  c.projector = dict(layers=2, hidden=2048, dim=2048, last_layer='bn')
  c.predictor = dict(layers=2, hidden=512, last_layer='bias')
  c.optim = dict(
      name='sgd', learning_rate=0.03,
      learning_rate_scaling='linear',   # x batch / 256
      momentum=0.9, nesterov=False,
      weight_decay=5e-4, weight_decay_mask='all',
      schedule='cosine', warmup_epochs=0.,
      constant=('predictor',))     # these parameters have no schedule
  return c
