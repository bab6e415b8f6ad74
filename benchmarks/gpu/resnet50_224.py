r"""Times SimCLR's ResNet-50 at 224 px against PyTorch, up to the largest batch.

  python -m benchmarks.gpu.resnet50_224

Images have 256 px and are resident. With several chunks (`train.grad_cache_chunks`) the
encoder computes each chunk again in the backward pass, and keeps only the activations
of one chunk.
"""

from benchmarks import train_step
from benchmarks.harness import cases, sweep


def main() -> None:
  args = sweep.arguments(__doc__)
  results = sweep.Sweep(args, 'resnet50_224')
  config = lambda images, chunks=1: cases.config(
      'resnet50_224', images, log={'steps_per_dispatch': 1 if args.dry_run else 4},
      train={'grad_cache_chunks': chunks},
      **({'data': {'image_size': 40, 'num_examples': 8}, 'augment': {'size': 32}}
         if args.dry_run else {}))
  modes = ('eager',) if args.dry_run else ('default', 'max-autotune')
  variants = train_step.torch_variants(modes, ('channels_last',))
  sizes = (2,) if args.dry_run else (128, 256)
  for images in sizes:  # the larger size only with the mode that compiles faster
    tried = variants if images == sizes[0] else variants[:1]
    results.record(f'resnet50_224, {2 * images} views, against torch',
                   lambda images=images, tried=tried:
                   results.against(config(images), tried, 3))
  for images, chunks in ((2, 2),) if args.dry_run else (
      (512, 1), (512, 4), (1024, 1), (1024, 8), (2048, 16)):
    results.record(f'resnet50_224, {2 * images} views, {chunks} parts',
                   lambda images=images, chunks=chunks:
                   results.ours(config(images, chunks)))


if __name__ == '__main__':
  main()
