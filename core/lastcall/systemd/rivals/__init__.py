"""Who else stops guests on this host, as systemd and their own words tell."""
