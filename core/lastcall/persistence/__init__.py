"""What survives a crash or a reboot: the files that lastcall keeps."""
