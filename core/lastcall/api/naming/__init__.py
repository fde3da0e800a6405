"""What guests are called before people."""
