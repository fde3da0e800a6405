"""Hooks: their specifications, where implementations come from, in which order they run and how each is contained."""
