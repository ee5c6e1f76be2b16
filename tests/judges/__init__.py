"""Programs of other projects that validate shipped files, built from pinned Go modules."""
