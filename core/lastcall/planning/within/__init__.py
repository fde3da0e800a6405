"""Who would be forced off in a given time, and which settings would keep that from happening."""
