"""What each part of a service, and the operator itself, can suffer from: one file a part."""
