"""One file per subcommand; each returns its exit code."""

COMMANDS = (
    "shutdown", "restore", "plan", "status", "report", "announce", "forget", "check", "plugins", "hook", "config",
    "guest", "install", "uninstall", "stamp", "demo",
)  # fmt: skip
