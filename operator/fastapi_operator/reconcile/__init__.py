"""The reconciliation of a service: observe, plan, write, and the loop that runs these steps."""
