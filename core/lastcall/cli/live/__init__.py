"""What a terminal shows while a run goes on: who moves, how the time stands, and what Ctrl-C does."""
