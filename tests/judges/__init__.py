"""Others' programs that judge what is shipped, built from pinned Go modules."""
