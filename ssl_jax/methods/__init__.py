"""Builds a method from the config of a run. METHODS lists all methods by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax import errors, models
from ssl_jax.augment import policies
from ssl_jax.methods import (
    barlow_twins,
    base,
    byol,
    compressed,
    finetune,
    lejepa,
    moco_v2,
    moco_v3,
    nnclr,
    rotnet,
    simclr,
    simsiam,
    supcon,
    supervised,
    swav,
    vicreg,
)
from ssl_jax.methods.network import Network

# Arguments of a method that come from other sections of the config than `method`.
PARTS = ('network', 'dtype', 'grad_cache_chunks', 'policies', 'preprocess')
INIT_FROM = config_lib.Field('init_from', str | None, None, config_lib.Rule(
    'Weights that the training starts from: the workdir of a run, or a file '
    '(.safetensors, or .ckpt, .pt or .pth of PyTorch) of a ResNet of torchvision, '
    'timm, lightly, solo-learn or MoCo, or of a ViT by the names of timm; None starts '
    'at random'))
METHODS: dict[str, type[base.Base]] = {
    'barlow_twins': barlow_twins.BarlowTwins,
    'byol': byol.BYOL,
    'lejepa': lejepa.LeJEPA,
    'moco_v2': moco_v2.MoCoV2,
    'moco_v3': moco_v3.MoCoV3,
    'nnclr': nnclr.NNCLR,
    'rotnet': rotnet.RotNet,
    'simclr': simclr.SimCLR,
    'simsiam': simsiam.SimSiam,
    'supcon': supcon.SupCon,
    'supervised': supervised.Supervised,
    'swav': swav.SwAV,
    'vicreg': vicreg.VICReg,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeConfig:
  """The fields of the section `train` that a method reads."""
  precision: str = config_lib.field(
      'auto', choices=('auto', 'float32', 'bfloat16'),
      doc='dtype of the computation; auto is float32 on CPUs and bfloat16 elsewhere')
  grad_cache_chunks: int = config_lib.field(
      1, low=1, doc='Number of chunks in which a batch passes through the encoder '
      '(GradCache); more chunks need less memory')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
  """The sections of a pre-training config that a method is built from."""
  augment: Any = config_lib.section(
      policies.RECIPES, key='recipe', variants='views',
      doc='Augmentation that makes the views')
  method: Any = config_lib.section(
      METHODS, key='name', given=PARTS, doc='Method, and its own fields')
  model: Any = config_lib.section(
      models.MODELS, key='name', given=('dtype',), extra=(INIT_FROM,),
      doc='The encoder')
  projector: Any = config_lib.section(
      models.heads.build_projector, given=('dtype',), default={})
  predictor: Any = config_lib.section(
      models.heads.build_predictor, given=('dtype',), default={})
  compression: Any = config_lib.section(
      compressed.Compression, optional=True, doc='Pruning and quantization')
  train: Any = config_lib.section(ComputeConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuneSpec:
  """The sections of a saved fine-tuning config that the network is built from."""
  augment: Any = config_lib.section(policies.RECIPES, key='recipe', variants='views')
  method: dict = config_lib.internal('freeze_until and bn_momentum')
  features: dict = config_lib.internal('endpoint and pool')
  head: Any = config_lib.section(models.HEADS, key='name', given=('dtype',))
  compression: Any = config_lib.section(compressed.Compression, optional=True)
  train: Any = config_lib.section(ComputeConfig)
  pretrained: dict = config_lib.internal('The config of the encoder')


def build(config: Mapping[str, Any],
          num_classes: int) -> base.Base | compressed.Compressed:
  """Builds the method that a plain config describes, such as that of a checkpoint.

  Args:
    config: plain values by section. A pre-training config has the sections of `Spec`.
      A fine-tuning config has those of `FineTuneSpec`; its section `pretrained` is the
      config of the pre-training run. Other sections are ignored.
    num_classes: number of classes of the data; 0 if they have no labels.

  Raises:
    errors.UserError: a name, field or value is not accepted.
  """
  if 'pretrained' in config:
    return _fine_tune(_parse(FineTuneSpec, config), num_classes)
  return from_spec(_parse(Spec, config), num_classes)


def from_spec(spec: Spec, num_classes: int) -> base.Base | compressed.Compressed:
  """Builds the method that a parsed config describes.

  Args:
    spec: the parsed sections.
    num_classes: number of classes of the data; 0 if they have no labels.

  Raises:
    errors.UserError: the sections do not fit each other or the data.
  """
  method = spec.method.func
  dtype = compute_dtype(spec.train.precision)
  network = Network(encoder=spec.model(dtype=dtype),
                    **method.build_heads(spec, num_classes, dtype))
  return compressed.around(spec.method(
      network=network, dtype=dtype, grad_cache_chunks=spec.train.grad_cache_chunks,
      policies=policies.per_crop(spec.augment, method.crops(spec.method.keywords)),
      preprocess=policies.evaluation(spec.augment)), spec.compression)


def _fine_tune(spec: FineTuneSpec,
               num_classes: int) -> finetune.FineTune | compressed.Compressed:
  """Builds a fine-tuned network or a probe; `spec.train` sets its precision."""
  before = spec.pretrained
  train = {**before['train'], 'precision': spec.train.precision}
  pretrained = build({**before, 'train': train}, len(before['dataset']['class_names']))
  # Weights that the pre-training pruned stay zero; a dense encoder has none that count.
  pruned = bool((before.get('compression') or {}).get('sparsity'))
  return compressed.around(finetune.FineTune(
      network=finetune.Classifier(
          pretrained.network, spec.head(num_classes, dtype=pretrained.dtype),
          spec.features['endpoint'], spec.features['pool']),
      policies=policies.per_crop(spec.augment, finetune.FineTune.num_crops),
      preprocess=policies.evaluation(spec.augment),
      dtype=pretrained.dtype,
      grad_cache_chunks=spec.train.grad_cache_chunks,
      freeze_until=spec.method['freeze_until'],
      bn_momentum=spec.method.get('bn_momentum')), spec.compression, keep_zeros=pruned)


def _parse(target: type, config: Mapping[str, Any]) -> Any:
  """Parses the sections of a config that `target` has, and ignores the others."""
  fields = {name: config[name] for name in config_lib.schema(target) if name in config}
  fields['train'] = {name: fields['train'][name]
                     for name in config_lib.schema(ComputeConfig)
                     if name in fields['train']}
  return config_lib.build(target, fields)


def compute_dtype(precision: str) -> Any:
  """Returns the dtype of the computation.

  Args:
    precision: 'float32', 'bfloat16', or 'auto'. 'auto' is float32 on CPUs, which have
      no fast bfloat16 convolution, and bfloat16 on other devices.

  Raises:
    errors.UserError: the precision is none of these.
  """
  auto = jnp.float32 if jax.default_backend() == 'cpu' else jnp.bfloat16
  return errors.lookup('config.train.precision', precision, {
      'auto': auto, 'float32': jnp.float32, 'bfloat16': jnp.bfloat16})
