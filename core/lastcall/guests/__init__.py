"""One guest at a time: how it is asked to stop, started again, looked up and watched."""
