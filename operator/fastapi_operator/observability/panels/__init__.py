"""The rows of the dashboards: one file a part of a service, and one for the operator."""
