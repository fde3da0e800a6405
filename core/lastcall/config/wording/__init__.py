"""Mistakes in plain words: what may stand in a place, what was probably meant, and what the YAML parser means."""
