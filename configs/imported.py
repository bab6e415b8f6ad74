"""Makes a run of given weights, which nothing trains, so that all commands accept them.

    python -m ssl_jax.pretrain --config=configs/imported.py:resnet50 \\
        --config.model.init_from=resnet50.safetensors \\
        --config.data.name=folder:photos --workdir=runs/imported
    python -m ssl_jax.embed --checkpoint=runs/imported --output=vectors.npz

The file has the names of torchvision or timm. The images are normalised as those of
torchvision's weights: the centre square is resized to 256 pixels, and its central 224
pixels are the input. An encoder that was trained in another way needs other values of
config.augment. It takes seconds.
"""

from ml_collections import ConfigDict

PRESETS = ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152')


def get_config(model: str = 'resnet50') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.data = dict(name='folder:photos', image_size=256)
  c.feed = dict(batch_size=2, mode='streamed')  # no image is decoded
  c.augment = dict(
      recipe='simclr_v2', size=224, mean=(0.485, 0.456, 0.406),
      std=(0.229, 0.224, 0.225))
  c.method = dict(name='simclr')
  c.model = dict(name=model, stem='imagenet', init_from=f'{model}.safetensors')
  c.projector = dict(layers=2, dim=128)  # random, and not used
  c.optim = dict(name='sgd', learning_rate=0.1, learning_rate_scaling='none',
                 schedule='constant')
  c.train = dict(epochs=0., online_probe=False)
  c.log = dict(tensorboard=False)
  return c
