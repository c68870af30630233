"""Jobs on a cluster: requests to the API server, and the state of a job from its objects."""
