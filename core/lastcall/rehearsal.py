"""For the commands of plugins: work on guests outside a run, with the configuration of the command line.

Nothing is stopped; `run.rehearsal` is true.
"""

from lastcall.runs.rehearsal import rehearse

__all__ = ["rehearse"]
