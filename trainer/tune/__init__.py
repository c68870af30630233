"""`python -m trainer tune`: measure, on this machine, the settings that only cost or save time."""
