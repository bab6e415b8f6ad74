"""Formats durations for people."""


def text(seconds: float) -> str:
  """Returns `8.2 s`, `45 s`, `3 min 20 s`, `2 h 05 min` or `1 d 02 h`.

  The value is rounded to the smaller of the units that are printed.
  """
  if round(seconds, 1) < 10:
    return f'{seconds:.1f} s'
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60:02d} s'
  minutes = round(seconds / 60)
  if minutes < 24 * 60:
    return f'{minutes // 60} h {minutes % 60:02d} min'
  hours = round(seconds / 3600)
  return f'{hours // 24} d {hours % 24:02d} h'


def clock(seconds: float) -> str:
  """Returns `1:05`, `1:00:00` or `1 d 2 h`, a short form for a line of progress."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours >= 24:
    return f'{hours // 24} d {hours % 24} h'
  return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'
