"""What speaks against a run by the times that are configured, and that earlier runs took."""
