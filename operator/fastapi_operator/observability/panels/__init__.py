"""The rows of the dashboards: one file per part of a service, and one for the operator."""
