"""Guests of other hosts that ours wait for, or that wait for ours."""
