"""What systemd's units have lastcall do."""
