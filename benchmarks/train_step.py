r"""Our training step against the same one in PyTorch, in the same minutes.

  python -m benchmarks.train_step --case=resnet20 --output=resnet20.json
  python -m benchmarks.train_step --case=resnet18 --peer=torch_loader
  python -m benchmarks.train_step --case=resnet18 --peer=host_fed

Needs torch, which ssl_jax itself does not, but for the last. Each side has a process
of its own and all cores, and sleeps while the other is timed. Before the rounds every
variant of the peer is tried, compiled and not, in both layouts; the fastest is the
peer. With --peer=torch_loader it is a loop whose data loader augments image by image,
and with --peer=host_fed our own step behind such a loader; what is then compared is
the whole from uint8 images on. Prints a table, and JSON with --output.
"""

import argparse
import itertools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.harness import cases, compare, worker

Variant = tuple[str, dict[str, Any]]  # target of `worker.Worker`, its arguments
OURS, TORCH = 'benchmarks.harness.ours:Ours', 'benchmarks.peers.torch_step:Trainer'
# Peers whose host makes the views, with any number of workers.
BY_HOST = {'torch_loader': 'benchmarks.peers.torch_loader:Stock',
           'host_fed': 'benchmarks.peers.host_fed:HostFed'}
# The other two modes of torch.compile are for GPUs: CUDA graphs, tuned kernels.
CPU_MODES, GPU_MODES = ('eager', 'default'), ('reduce-overhead', 'max-autotune')
# So that both fit on one GPU: JAX would take three quarters of its memory.
SHARE = {'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.45'}


def torch_variants(modes: Sequence[str],
                   layouts: Sequence[str] = ('nchw', 'channels_last')
                   ) -> list[Variant]:
  return [(TORCH, {'compile': mode, 'layout': layout})
          for mode, layout in itertools.product(modes, layouts)]


def by_host_variants(peer: str, workers: Sequence[int]) -> list[Variant]:
  return [(BY_HOST[peer], {'workers': n}) for n in workers]


def label(variant: Variant) -> str:
  """'torch_step default channels_last'."""
  module = variant[0].partition(':')[0].rpartition('.')[2]
  return ' '.join([module, *(f'{k}={v}' for k, v in variant[1].items())])


def fastest(config: dict[str, Any], variants: Sequence[Variant],
            limit: float) -> Iterator[tuple[str, dict[str, Any]]]:
  """Tries each in a fresh process: its name, and seconds per step or the error."""
  for variant in variants:
    target, arguments = variant
    try:
      with worker.Worker(target, limit=limit, config=config, **arguments) as program:
        yield label(variant), {'variant': variant,
                               'seconds': compare.alone(program, samples=3)}
    except worker.Failed as e:
      yield label(variant), {'variant': variant, 'error': str(e)}


def run(config: dict[str, Any], variants: Sequence[Variant], rounds: int,
        limit: float = 600, environment: dict[str, str] | None = None
        ) -> dict[str, Any]:
  """The comparison of one config.

  Args:
    config: a case's.
    variants: of the peer; the fastest is compared.
    rounds: of one sample each.
    limit: seconds for any one thing, such as a compilation.
    environment: variables of our process.

  Raises:
    worker.Failed: ours, or every variant of the peer, could not be run.
  """
  machine = compare.machine()
  tried = {}
  for name, outcome in fastest(config, variants, limit):
    tried[name] = outcome
    print(f'tried {name}: ' + (
        f'{1e3 * outcome["seconds"]["median"]:.4g} ms'
        if 'seconds' in outcome else outcome['error']), flush=True)
  timed = {k: v for k, v in tried.items() if 'seconds' in v}
  if not timed:
    raise worker.Failed('no variant of the peer could be run; the last: '
                        + list(tried.values())[-1]['error'])
  best = min(timed, key=lambda k: timed[k]['seconds']['median'])
  target, arguments = timed[best]['variant']
  with worker.Worker(OURS, {**SHARE, **(environment or {})}, limit,
                     config=config) as ours, \
      worker.Worker(target, limit=limit, config=config, **arguments) as peer:
    measured = compare.in_turns(ours, peer, rounds)
    about = {'ours': ours.call('describe'), 'peer': peer.call('describe')}
  if about['ours']['parameters'] != about['peer']['parameters']:
    raise worker.Failed(f'the networks differ: {about}')
  return {'config': config, 'machine': machine, 'tried': tried, 'best': best,
          'rounds': rounds, **measured, **about}


def table(result: dict[str, Any]) -> str:
  """Formats the result that `run` returns."""
  views = result['config']['feed']['batch_size'] * cases.views_per_image(
      result['config'])
  about, machine = result['ours'], result['machine']
  rows = [
      ('hardware', f'{about["hardware"]}, {machine["cores"]} cores, load '
                   f'{machine["load"]:.1f}'),
      ('program', f'{result["config"]["model"]["name"]}, {views} views, '
                  f'{about["compute_dtype"]}, {about["parameters"]:,} parameters'),
      ('ours, ms per step', _milliseconds(result['ours_seconds'])
       + f' ({about["steps_per_dispatch"]} steps per dispatch)'),
      ('peer, ms per step', f'{_milliseconds(result["peer_seconds"])} '
                            f'({result["best"]})'),
      ('ours, views/s', f'{views / result["ours_seconds"]["median"]:,.4g}'),
      ('peer by ours', f'{compare.spread(result["ratio"])}, median [range] of '
                       f'{result["rounds"]} rounds')]
  return '\n'.join(f'{name:20}{value}' for name, value in rows)


def _milliseconds(seconds: dict[str, float]) -> str:
  return compare.spread({k: 1e3 * v for k, v in seconds.items()}, '{:.4g}')


def main() -> None:
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--case', choices=cases.CASES, default='resnet20')
  parser.add_argument('--images', type=int, help='per step, before views')
  parser.add_argument('--rounds', type=int, default=7)
  parser.add_argument('--peer', choices=('torch_step', *BY_HOST),
                      default='torch_step')
  parser.add_argument('--modes', nargs='+', default=CPU_MODES,
                      choices=CPU_MODES + GPU_MODES, help='of torch.compile, to try')
  parser.add_argument('--workers', type=int, nargs='+', default=[0, 2],
                      help='that make views by the image, to try')
  parser.add_argument('--output', type=pathlib.Path, help='JSON file')
  args = parser.parse_args()
  if args.peer in BY_HOST and args.case == 'nin':
    parser.error(f'--peer={args.peer} is a loop of SimCLR; --case=nin is RotNet')
  if warning := compare.busy(compare.machine()):
    print(warning)
  variants = (by_host_variants(args.peer, args.workers) if args.peer in BY_HOST else
              torch_variants(args.modes))
  try:
    result = run(cases.config(args.case, args.images), variants, args.rounds)
  except worker.Failed as e:
    parser.exit(1, f'error: {e}\n')
  print(table(result))
  if args.output:
    args.output.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
