"""Hook calls as they are told to plugin authors."""
