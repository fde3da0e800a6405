"""What a shell offers for a half-written command line, without what a command itself would load."""
