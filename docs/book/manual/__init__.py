"""The man pages, into contrib/man: made of what the commands say of themselves and of the configuration's schema."""
