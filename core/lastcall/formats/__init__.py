"""How values are written: durations as people write them, values of ours as JSON."""
