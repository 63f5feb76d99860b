"""Writes untrusted text safely: one module for each kind of output.

Text of other projects passes through the module of its output, or is not written there.
"""
