r"""Times small networks at 32 px by the number of steps per dispatch.

  python -m benchmarks.gpu.small_networks
"""

from benchmarks import train_step
from benchmarks.harness import cases, sweep

# Images per step, and the numbers of steps per dispatch to try.
PLAN = {'resnet20': (1024, (1, 8, 32, 128)), 'nin': (512, (1, 8, 32, 128)),
        'resnet50': (512, (1, 32)), 'resnet50x2': (512, (1, 32))}


def main() -> None:
  args = sweep.arguments(__doc__)
  results = sweep.Sweep(args, 'small_networks')
  plan = {'resnet20': (2, (1,))} if args.dry_run else PLAN
  best = {}
  for case, (images, dispatches) in plan.items():
    for k in dispatches:
      config = cases.config(case, images, log={'steps_per_dispatch': k})
      result = results.record(f'{case}, {images} images, K={k}',
                              lambda config=config: results.ours(config))
      seconds = result['seconds']['median'] if result else float('inf')
      if case not in best or seconds < best[case][0]:
        best[case] = seconds, config
  mode = 'eager' if args.dry_run else 'reduce-overhead'
  for case, (_, config) in best.items():
    variants = train_step.torch_variants((mode,), ('channels_last',))
    results.record(f'{case}, against torch', lambda config=config, variants=variants:
                   results.against(config, variants, 3))


if __name__ == '__main__':
  main()
