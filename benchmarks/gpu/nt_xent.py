r"""Times NT-Xent's value and gradient, tiled and dense, by the number of rows.

  python -m benchmarks.gpu.nt_xent

A process per form; sizes rise, so that each peak of memory is its own. What does not
fit is reported as an error, and larger sizes of that form are left out.
"""

from benchmarks import nt_xent_time
from benchmarks.harness import sweep, worker

FORMS = (('Jax', 'tiled'), ('Jax', 'dense'), ('Torch', 'dense'), ('Torch', 'compiled'))
LARGEST = {'tiled': 2**19, 'dense': 2**18, 'compiled': 2**18}  # rows, of 2 per image


def by_size(rows: sweep.Sweep, framework: str, form: str, sizes: list[int]) -> None:
  target = f'benchmarks.nt_xent_time:{framework}'
  with worker.Worker(target, rows.environment, 120, form=form) as program:
    for n in sizes:
      repeats = 3 if n > 2**16 else 9
      if rows.row(f'{framework} {form}, {n:,} rows', lambda n=n, repeats=repeats:
                  program.call('measure', rows=n, repeats=repeats)) is None:
        return


def main() -> None:
  args = sweep.arguments(__doc__)
  rows = sweep.Sweep(args, 'nt_xent')
  rows.result |= {'dim': nt_xent_time.DIM, 'temperature': nt_xent_time.TEMPERATURE}
  for framework, form in FORMS[:3] if args.dry_run else FORMS:
    sizes = [2**k for k in range(13, LARGEST[form].bit_length())]
    try:
      by_size(rows, framework, form, [64, 128] if args.dry_run else sizes)
    except worker.Failed as e:
      print(f'{framework} {form} could not start: {e}')


if __name__ == '__main__':
  main()
