"""From a project's folder to an image in a cluster: decisions of ``deploy``, as plain data."""
