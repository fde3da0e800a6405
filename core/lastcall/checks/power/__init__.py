"""What `check` looks at of what is configured for an outage."""
