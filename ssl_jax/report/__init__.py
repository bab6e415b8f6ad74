"""Reports of a study: files in, pages out. Never imports JAX."""

import pathlib
import textwrap

from ssl_jax.report import details, heatmap, html, plots, read, tables, theme


def write(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes `<workdir>/report/` from what the study has produced so far.

  The folder gets index.html (self-contained), report.md, results.csv (one line
  per method, evaluation and seed) and figures/ (PNG and SVG). Writing again from
  the same files gives the same bytes.

  Returns:
    The path of index.html.

  Raises:
    errors.UserError: `workdir` is not a study's folder.
  """
  study = read.study(workdir)
  drawn = plots.plots(study)
  folder = pathlib.Path(workdir) / 'report'
  figures = folder / 'figures'
  figures.mkdir(parents=True, exist_ok=True)
  for plot in drawn:
    for suffix in ('png', 'svg'):
      image = theme.render(plot, theme.LIGHT, suffix)
      (figures / f'{plot.name}.{suffix}').write_bytes(image)
  pages = {'report.md': html.markdown(study, drawn),
           'results.csv': details.to_csv(study),
           'index.html': html.page(study, drawn)}
  for name, text in pages.items():
    (folder / name).write_text(text, encoding='utf-8')
  return folder / 'index.html'


def summary(workdir: str | pathlib.Path) -> str:
  """Returns the tables of results as text, for a terminal.

  Raises:
    errors.UserError: `workdir` is not a study's folder.
  """
  study = read.study(workdir)
  grids = [heatmap.table(study, e) for e in heatmap.evaluations(study)]
  parts = [textwrap.fill(study.rehearsal, 80), '\n'.join(html.warnings(study)),
           *map(tables.terminal, html.main_tables(study) + grids)]
  return '\n\n'.join(part.rstrip() for part in parts if part) + '\n'
