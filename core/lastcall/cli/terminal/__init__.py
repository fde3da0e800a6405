"""What somebody sees the output on: how wide it is, and whether in colour."""
