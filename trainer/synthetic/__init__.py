"""Data made from a seed: nothing to download, and what a perfect model reaches is known."""
