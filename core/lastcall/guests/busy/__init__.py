"""Guests that are busy with something that a stop would cut off."""
