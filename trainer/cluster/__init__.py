"""Where a run happens: the cluster, reaching the peers, the strategy, agreeing on a stop."""
