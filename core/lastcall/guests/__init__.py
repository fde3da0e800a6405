"""One guest at a time: how it is asked to stop, and started again."""
