"""What guests wait for that ends by something outside: neighbours' guests, and whatever plugins name."""
