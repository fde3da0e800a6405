"""What `lastcall check` looks at, beyond what units and plugins say."""
