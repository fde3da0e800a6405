"""Whole runs in worlds that are made from a seed, held against what is true in them. `make sim`."""
