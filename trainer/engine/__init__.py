"""The compiled step: one lane as a pure function, the ordered reduction, n steps in one call."""
