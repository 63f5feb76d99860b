"""A project's public interface: a dbt manifest, decoded, validated, reduced and sealed.

To publish another field, add it to `fields` and docs/published-fields.md; a test compares them.
"""
