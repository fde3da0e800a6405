"""This host among others: the lock that lets it reboot, and that its guests stay away for a while."""
