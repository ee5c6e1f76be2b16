"""What is known of a service and its live objects. No I/O: watch events and lists are put in."""
