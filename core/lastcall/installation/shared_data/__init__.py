"""What lies where shells and man(1) look for it."""
