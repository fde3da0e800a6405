"""What a plugin does wrong is its own failure, told with its name, file and line."""
