"""What `--json` prints, as types: one for each command, from which its JSON Schema is made."""
