"""The two runs. Read `shutdown.py` and `restore.py` first: they are the story that everything else serves."""
