"""An outage of the mains: how long the host lives in it."""
