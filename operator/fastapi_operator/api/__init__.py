"""The resource: its models, rules, schema and parser."""
