"""Guests on their way to another host: our own connection to it, what keeps a guest here, and the migration itself."""
