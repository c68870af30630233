"""What a job is, what it may be, and the words for its state; pure functions and tables."""
