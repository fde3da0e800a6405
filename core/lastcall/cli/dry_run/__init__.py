"""A run that is looked at and not done: what `plan` finds out, and how it is told."""
