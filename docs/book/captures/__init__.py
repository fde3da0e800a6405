"""What the program shows on a terminal, drawn for the README and the pages: the same guests each time."""
