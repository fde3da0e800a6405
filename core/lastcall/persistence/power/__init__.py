"""What is known of the power: the last word of each UPS."""
