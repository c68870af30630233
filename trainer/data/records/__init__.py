"""Records: where each one is in its file, read, checked and decoded."""
