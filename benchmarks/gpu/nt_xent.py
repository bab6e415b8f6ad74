r"""Times NT-Xent's value and gradient, tiled and dense, by the number of rows.

  python -m benchmarks.gpu.nt_xent

Each form runs in its own process, and sizes rise, so that each peak of memory is the
peak of its size. A size that does not fit is reported as an error, and larger sizes of
that form are left out.
"""

from benchmarks import nt_xent_time
from benchmarks.harness import sweep, worker

FORMS = (('Jax', 'tiled'), ('Jax', 'dense'), ('Torch', 'dense'), ('Torch', 'compiled'))
LARGEST = {'tiled': 2**19, 'dense': 2**18, 'compiled': 2**18}  # rows, two per image


def by_size(results: sweep.Sweep, framework: str, form: str, sizes: list[int]) -> None:
  """Measures one form at rising sizes, until one fails.

  Args:
    results: the sweep that records the results.
    framework: 'Jax' or 'Torch'.
    form: form of the loss, see `FORMS`.
    sizes: numbers of embeddings.
  """
  target = f'benchmarks.nt_xent_time:{framework}'
  with worker.Worker(target, results.environment, 120, form=form) as program:
    for n in sizes:
      repeats = 3 if n > 2**16 else 9
      measure = lambda n=n, repeats=repeats: program.call(
          'measure', rows=n, repeats=repeats)
      if results.record(f'{framework} {form}, {n:,} rows', measure) is None:
        return


def main() -> None:
  args = sweep.arguments(__doc__)
  results = sweep.Sweep(args, 'nt_xent')
  results.result |= {'dim': nt_xent_time.DIM, 'temperature': nt_xent_time.TEMPERATURE}
  for framework, form in FORMS[:3] if args.dry_run else FORMS:
    sizes = [2**k for k in range(13, LARGEST[form].bit_length())]
    try:
      by_size(results, framework, form, [64, 128] if args.dry_run else sizes)
    except worker.Failed as e:
      print(f'{framework} {form} could not start: {e}')


if __name__ == '__main__':
  main()
