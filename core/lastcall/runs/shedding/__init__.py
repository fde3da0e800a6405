"""Shedding: guests that nobody needs just now are stopped while a battery carries the host."""
