"""Decides which checkpoints of a run are kept."""

from orbax.checkpoint import checkpoint_managers


def policy(newest: int, every: int = 0) -> checkpoint_managers.PreservationPolicy:
  """Returns the policy that keeps the newest checkpoints and one per interval.

  Args:
    newest: number of newest checkpoints that are kept.
    every: interval in steps. The checkpoints nearest to its multiples are kept as well,
      which include the first one; 0 keeps no others.
  """
  policies = [checkpoint_managers.LatestN(newest)]
  if every:
    policies.append(checkpoint_managers.EveryNStepsClosest(every))
  return checkpoint_managers.AnyPreservationPolicy(policies)
