"""One level-triggered pass a service at a time."""
