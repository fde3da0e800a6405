"""How values are written and read: durations as people write them, values of ours as JSON, files of any kind."""
