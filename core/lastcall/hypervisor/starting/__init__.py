"""Starting a domain: what it needs for that, its saved image, and which of its starts was asked to stop."""
