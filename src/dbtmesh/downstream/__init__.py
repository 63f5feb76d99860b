"""What a project that reads other projects does: sync, sources, stub tables, lineage, records.

Everything here works from interfaces that were published and checked (`manifest.interface`).
"""
