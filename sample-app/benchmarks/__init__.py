"""Each technique on and off, interleaved: `python -m benchmarks`."""
