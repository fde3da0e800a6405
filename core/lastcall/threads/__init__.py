"""Between the loop thread and the others: workers for what blocks, and the ways back."""
