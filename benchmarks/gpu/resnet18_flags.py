r"""Measures the GPU's limits, and SimCLR's ResNet-18 at 32 px by XLA flags.

  python -m benchmarks.gpu.resnet18_flags

Flags of XLA are set per process; all processes share a compilation cache. The flags
allow convolutions and loops in command buffers (CUDA graphs), or compute convolutions
as fusions. Our step with the fastest of them is then compared with PyTorch's.
"""

from benchmarks import train_step
from benchmarks.harness import cases, sweep, worker

FLAGS = {
    'default': '',
    'convolution': '--xla_gpu_enable_command_buffer=+CONVOLUTION',
    'convolution_while': '--xla_gpu_enable_command_buffer=+CONVOLUTION,+WHILE',
    'conv_fusion': '--xla_gpu_experimental_enable_conv_fusion=true',
}


def main() -> None:
  args = sweep.arguments(__doc__)
  results = sweep.Sweep(args, 'resnet18_flags')
  size, gigabytes = (256, 0.01) if args.dry_run else (8192, 8)
  for framework in ('Jax', 'Torch'):
    def calibrate(framework=framework):
      target = f'benchmarks.harness.calibrate:{framework}'
      with worker.Worker(target, limit=120) as program:
        return program.call('measure', size=size, gigabytes=gigabytes)
    results.record(f'calibrate {framework}', calibrate)

  images, larger = (2, 4) if args.dry_run else (512, 2048)
  config = lambda images, k: cases.config('resnet18', images,
                                          log={'steps_per_dispatch': k})
  plan = [(flags, k) for k in (32, 1) for flags in FLAGS]
  plan += [('default', 8), ('default', 128)]
  if args.dry_run:
    plan = [('default', 1)]
  times = {}
  for flags, k in plan:
    result = results.record(
        f'resnet18 {images} pairs, {flags}, K={k}', lambda flags=flags, k=k:
        results.ours(config(images, k), FLAGS[flags]))
    if result:
      times[flags, k] = result['seconds']['median']
  if not times:
    return
  flags, k = min(times, key=times.get)
  modes = ('eager',) if args.dry_run else train_step.GPU_MODES
  variants = train_step.torch_variants(modes, ('channels_last',))
  for n in (images, larger):
    results.record(f'resnet18 {n} pairs, {flags}, K={k}, against torch', lambda n=n:
                   results.against(config(n, k), variants, flags=FLAGS[flags]))
  workers = (0,) if args.dry_run else (8, 16)
  loaders = train_step.by_host_variants('torch_loader', workers)
  results.record(f'resnet18 {images} pairs, against a stock loop', lambda:
                 results.against(config(images, k), loaders, 3, FLAGS[flags]))


if __name__ == '__main__':
  main()
