"""How another tool is configured, read as it reads that itself, in terms of our configuration."""
