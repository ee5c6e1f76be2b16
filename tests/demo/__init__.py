"""``make demo``: from a bare machine, or any cluster, to an answering service."""
