"""Experiments: each technique next to its alternative. Served only if LABS=true."""
