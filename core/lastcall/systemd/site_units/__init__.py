"""Units of a site's own that a stop needs, and that systemd is to stop after the last guest."""
