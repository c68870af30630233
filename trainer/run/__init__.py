"""One run: the outer loop and what happens at the edges of the inner one."""
