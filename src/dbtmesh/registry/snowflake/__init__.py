"""Stores a registry in Snowflake: in tables of each project's prod database, beside the models.

Tables are only inserted into. Nothing is locked, for Snowflake documents READ COMMITTED and that
INSERTs run side by side, and no more is relied on:
https://docs.snowflake.com/en/sql-reference/transactions

A version of the history and the mark that makes it the latest are rows of one table. The latest is
the greatest version whose last mark is not a withdrawal: a build that comes late never wins.
A publisher inserts its mark where what it was judged against still stands, and looks again after
that: of two who do so at the same moment at least one sees the other, withdraws its mark and is
judged again. Until it has looked, for one round trip, readers may see what was not judged against
the other; and for good where its process dies in that round trip.

State and records have a number that counts up with each write. Of two writes of one number, the one
with the greater id is read: these have one writer, whose jobs queue.
"""
