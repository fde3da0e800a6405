"""Commands inside guests: which way in, and the script around each command that keeps it in time and bounds."""
