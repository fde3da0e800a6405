"""What is said of the power: by whom it may be said, what comes of it, and how an outage is watched."""
