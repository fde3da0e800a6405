"""Sees an outage of the mains through: guests are shed while a battery carries, and come back with the mains."""
