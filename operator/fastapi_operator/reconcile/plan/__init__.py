"""What a pass should do: desired state, steps, and the status to report. No I/O."""
