"""The rules of the warehouses that a mesh runs on: adapters, names and data types.

To add one, start with `adapter.Warehouse`.
"""
