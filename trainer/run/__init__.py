"""One run: the outer loop and what happens at the boundaries of the inner one."""
