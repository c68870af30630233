"""What watches a run: signals, deadlines, its seconds, its progress."""
