"""What would keep guests from being moved to other hosts, and from coming back."""
