r"""Compares the speed of our training step with that of the same step in PyTorch.

  python -m benchmarks.train_step --case=resnet20 --output=resnet20.json
  python -m benchmarks.train_step --case=resnet18 --peer=torch_loader
  python -m benchmarks.train_step --case=resnet18 --peer=host_fed

All peers but host_fed need torch, which ssl_jax itself does not need. Each side has its
own process and may use all cores; it sleeps while the other side is timed. All variants
of the peer are tried first, eager and compiled, in both memory layouts, and the fastest
is compared. The default peer, torch_step, augments batches on the device. The peer
torch_loader is a loop whose data loader augments image by image, and host_fed is our
own step behind such a loader. All times begin with uint8 images. The command prints a
table, and writes JSON with --output.
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
# Peers whose views are made on the host, by a number of worker processes.
BY_HOST = {'torch_loader': 'benchmarks.peers.torch_loader:Stock',
           'host_fed': 'benchmarks.peers.host_fed:HostFed'}
# The modes for GPUs use CUDA graphs and tuned kernels.
CPU_MODES, GPU_MODES = ('eager', 'default'), ('reduce-overhead', 'max-autotune')
# JAX would reserve three quarters of a GPU's memory; with this both sides fit on it.
SHARE = {'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.45'}


def torch_variants(modes: Sequence[str],
                   layouts: Sequence[str] = ('nchw', 'channels_last')
                   ) -> list[Variant]:
  """Returns variants of torch_step for all pairs of a compile mode and a layout."""
  return [(TORCH, {'compile': mode, 'layout': layout})
          for mode, layout in itertools.product(modes, layouts)]


def by_host_variants(peer: str, workers: Sequence[int]) -> list[Variant]:
  """Returns variants of a peer of `BY_HOST` for each number of workers."""
  return [(BY_HOST[peer], {'workers': n}) for n in workers]


def label(variant: Variant) -> str:
  """Returns the name of a variant: 'torch_step compile=eager layout=nchw'."""
  module = variant[0].partition(':')[0].rpartition('.')[2]
  return ' '.join([module, *(f'{k}={v}' for k, v in variant[1].items())])


def fastest(config: dict[str, Any], variants: Sequence[Variant],
            limit: float) -> Iterator[tuple[str, dict[str, Any]]]:
  """Times each variant in a new process.

  Args:
    config: plain config of a case.
    variants: variants to time.
    limit: most seconds of each call, such as a compilation.

  Yields:
    The name of each variant, and its seconds per step or the error.
  """
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
  """Compares our step with that of the peer for one config.

  Args:
    config: plain config of a case.
    variants: variants of the peer; the fastest is compared.
    rounds: number of rounds, each of one sample of both sides.
    limit: most seconds of each call, such as a compilation.
    environment: additional environment variables of our process.

  Raises:
    worker.Failed: our step, or every variant of the peer, failed.
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
    raise worker.Failed('all variants of the peer failed; the last one with: '
                        + list(tried.values())[-1]['error'])
  best = min(timed, key=lambda k: timed[k]['seconds']['median'])
  target, arguments = timed[best]['variant']
  with worker.Worker(OURS, {**SHARE, **(environment or {})}, limit,
                     config=config) as ours, \
      worker.Worker(target, limit=limit, config=config, **arguments) as peer:
    measured = compare.alternate(ours, peer, rounds)
    about = {'ours': ours.call('describe'), 'peer': peer.call('describe')}
  if about['ours']['parameters'] != about['peer']['parameters']:
    raise worker.Failed(f'the networks have different numbers of parameters: {about}')
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
      ('peer / ours', f'{compare.spread(result["ratio"])}, median [range] of '
                       f'{result["rounds"]} rounds')]
  return '\n'.join(f'{name:20}{value}' for name, value in rows)


def _milliseconds(seconds: dict[str, float]) -> str:
  return compare.spread({k: 1e3 * v for k, v in seconds.items()}, '{:.4g}')


def main() -> None:
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--case', choices=cases.CASES, default='resnet20',
                      help='network and config')
  parser.add_argument('--images', type=int, help='images per step, before views')
  parser.add_argument('--rounds', type=int, default=7,
                      help='number of samples of each side')
  parser.add_argument('--peer', choices=('torch_step', *BY_HOST),
                      default='torch_step', help='program to compare with')
  parser.add_argument('--modes', nargs='+', default=CPU_MODES,
                      choices=CPU_MODES + GPU_MODES,
                      help='modes of torch.compile to try')
  parser.add_argument('--workers', type=int, nargs='+', default=[0, 2],
                      help='numbers of worker processes of a data loader to try')
  parser.add_argument('--output', type=pathlib.Path, help='JSON file of the result')
  args = parser.parse_args()
  if args.peer in BY_HOST and args.case == 'nin':
    parser.error(f'--peer={args.peer} trains SimCLR, but --case=nin trains RotNet; '
                 'choose another case, or --peer=torch_step')
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
