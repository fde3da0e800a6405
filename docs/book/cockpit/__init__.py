"""Cockpit with our page in it, for pictures and tests."""
