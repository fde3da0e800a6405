"""What happens in a run, as typed records: the stream, the run log, and the report that is folded from them."""
