"""Pre-trains an encoder by LeJEPA on CIFAR-10 (arXiv:2511.08544).

    python -m ssl_jax.pretrain --config=configs/lejepa_cifar10.py \\
        --workdir=runs/lejepa
    python -m ssl_jax.pretrain --config=configs/lejepa_cifar10.py:resnet20 \\
        --workdir=runs/lejepa_resnet20

The paper has no recipe for CIFAR-10. Its weight of SIGReg (0.05), number of directions
and points of the integral are kept. Batch, views, optimizer and schedule are those of
vicreg_cifar10.py, and the projector is narrower: an embedding should be a Gaussian in
all of its directions. No setting has been tuned, no figure is published for CIFAR-10,
and this config has not been run at full length here.
"""

from ml_collections import ConfigDict

from configs import vicreg_cifar10

PRESETS = vicreg_cifar10.PRESETS


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = vicreg_cifar10.get_config(model)
  c.method = dict(name='lejepa', sigreg_weight=0.05, directions=1024,
                  views_per_image=2)
  c.projector = dict(layers=3, hidden=2048, dim=128, last_layer='none')
  return c
