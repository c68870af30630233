"""The compiled step: a virtual replica as a pure function, the ordered sum, the inner loop."""
