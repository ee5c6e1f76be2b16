"""Experiments that compare each technique with its alternative. Served only if LABS=true."""
