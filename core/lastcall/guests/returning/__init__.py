"""The way back of guests that were moved to another host."""
