"""Experiments: each technique beside what it replaces. Served only with LABS=true."""
