"""Stores a registry in Snowflake: in tables of each project's prod database, beside the models.

Rows are only inserted. Nothing is locked. The protocol relies only on what Snowflake documents:
READ COMMITTED, and INSERT statements that run in parallel.
https://docs.snowflake.com/en/sql-reference/transactions

A version of the history and the mark that makes it the latest are rows of one table. The latest is
the greatest version whose last mark is not a withdrawal, so a build that comes late never wins.
A publisher inserts its mark only if the latest is still the one that it was checked against, and
then looks again. Of two publishers that do so at the same moment, at least one sees the other,
withdraws its mark and is checked again. Until it has looked, for one round trip, readers may see a
version that was not checked against the other. If its process dies in that round trip, they see it
until the next publication.

State and records have a number that counts up with each write. If two writes have the same number,
the one with the greater id is read. Each object has only one writer, whose jobs queue.
"""
