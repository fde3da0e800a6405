"""What `lastcall status` finds out, and how it tells it."""
