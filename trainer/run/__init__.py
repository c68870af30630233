"""One run: what was asked for, the loop, and its effects at the boundaries of the inner loop."""
