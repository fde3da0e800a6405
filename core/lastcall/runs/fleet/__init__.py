"""One host at a time: the lock at a server without which this host does not reboot by itself."""
