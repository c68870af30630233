"""The command line: verbs, their flags, profiles, what is printed."""
