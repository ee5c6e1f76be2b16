"""``make demo``: from a bare machine, or any cluster, to a service that responds."""
