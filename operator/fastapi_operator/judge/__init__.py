"""The judge of a canary: compares both versions of an app, and bounds its error over all looks."""
