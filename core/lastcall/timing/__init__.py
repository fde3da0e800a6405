"""One deadline, and the moments and shares that are cut from it."""
