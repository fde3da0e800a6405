"""What one guest is asked: a request to a stop method, what a worker does for it, and how it is answered."""
