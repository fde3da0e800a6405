"""Around a sleep of the host: who is paused or saved before it, and how they go on afterwards."""
