"""What the commands for outages print."""
