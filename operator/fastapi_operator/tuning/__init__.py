"""From a service to a plan: every number with its reason."""
