"""How accounts differ: behaviour changes that are on or off, and undocumented behaviour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Behaviour:
    """The behaviour of an account, as far as accounts differ.

    copy_grants_on_replace: CREATE OR REPLACE copies grants; BCR-2433, bundle 2026_08.
    named_key_pairs: the account knows ``ALTER USER … ADD KEY PAIR``; since 2026-07-15.
    exact_kinds: all forms of SHOW GRANTS show the kind of a relation, and database roles without
    their database; bcr-2371, bundle 2026_06.
    user_privileges: SHOW GRANTS TO USER has the columns of privileges; bcr-1803, bundle 2025_01.
    container_manage_grants: MANAGE GRANTS can be given on a database or schema; a public preview
    that an account opts in to, user-guide/container-manage-grants-intro.
    describes_users: MONITOR on a user is enough to describe it, which is not documented.
    shows_foreign_database_roles: whoever sees a database may SHOW GRANTS of its database roles,
    which is not documented.
    parallel_inserts: other statements run between what an INSERT … SELECT reads and what it writes,
    as READ COMMITTED allows: sql-reference/transactions. It is off by default, as it takes time.
    """

    copy_grants_on_replace: bool = False
    named_key_pairs: bool = False
    exact_kinds: bool = True
    user_privileges: bool = True
    container_manage_grants: bool = False
    describes_users: bool = True
    shows_foreign_database_roles: bool = True
    parallel_inserts: bool = False
