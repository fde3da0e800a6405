"""What is known of a guest that waits to be brought back."""
