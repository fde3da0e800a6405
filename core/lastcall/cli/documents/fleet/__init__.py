"""What the commands print that are about this host among others."""
