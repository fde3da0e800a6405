"""Mistakes of plugins' authors that can be seen before anything is called: what is wrong, where, and what helps."""
