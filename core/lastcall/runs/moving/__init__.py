"""Guests that may be on another host: written down before they are touched, and made precise once it is known."""
