"""What a run did, told: from records to the report, and from the report to text and JSON."""
