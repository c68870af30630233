"""Jobs on this machine: a supervisor for each, real worker processes, one folder a job."""
