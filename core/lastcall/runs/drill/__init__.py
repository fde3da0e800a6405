"""A drill: guests are stopped in daytime and brought back, to see how they would go at night."""
