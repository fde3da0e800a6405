"""What a guest's policy comes to, for those who ask."""
