"""Safe output of untrusted text: one module for each place that it may reach.

Text of other projects goes through the module of its place, or is not written there.
"""
