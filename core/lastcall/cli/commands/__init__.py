"""One file per subcommand; each returns its exit code."""
