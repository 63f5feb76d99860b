"""Serves projects that read other projects: sync, sources, stub tables, lineage, records.

Everything here works on interfaces that were published and validated (`manifest.interface`).
"""
