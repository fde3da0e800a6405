"""One file per subcommand; each returns its exit code."""

COMMANDS = (
    "shutdown", "restore", "plan", "status", "report", "runs", "announce", "forget", "check", "plugins", "hook",
    "config", "guest", "install", "uninstall", "stamp", "demo",
)  # fmt: skip
