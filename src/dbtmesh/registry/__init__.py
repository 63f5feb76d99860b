"""The registry: where projects publish their interfaces, and what their readers keep on record.

To add a kind of storage, write a module with a `store.Store`, and open it in `store.open_store`;
docs/architecture.md lists the rest. tests/test_stores.py runs the same tests on every store.
"""
