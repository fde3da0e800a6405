"""What reaches a run from outside while it goes on, or before it begins: other processes' words, and the power."""
