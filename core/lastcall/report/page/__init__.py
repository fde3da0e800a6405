"""One page for a browser, of a shutdown and the restore after it."""
