"""The code that comes with a job: collected, uploaded, mounted, and the programs of pods."""
