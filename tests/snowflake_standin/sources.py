"""Names the source of each rule of the stand-in, and of each column that it shows.

Pages are paths below docs.snowflake.com, or URLs of public evidence. A rule without a page is an
assumption: the documentation does not say. `tests/conformance` asks an account about each.
"""

from __future__ import annotations

from tests.sources import Documented, Source

_CONTROL = "user-guide/security-access-control-overview"
_CONFIGURE = "user-guide/security-access-control-configure"
_PRIVILEGES = "user-guide/security-access-control-privileges"


class Rule(Documented):
    """The rules of the model."""

    USAGE_OPENS = Source(
        "a relation can be used only with USAGE on its database and on its schema",
        _PRIVILEGES,
        "account.Account.may_enter",
    )
    HIDDEN_IS_MISSING = Source(
        "an object that a role may not see does not exist for it: 002003, or 002043 to operate",
        "user-guide/security-access-control-considerations",
        "context.Context.existing",
    )
    PRIVILEGE_NEEDED = Source(
        "a missing privilege on an object that the role sees is error 003001",
        _PRIVILEGES,
        "context.Context.require",
    )
    ADMIN_ROLES = Source(
        "each administrator role has its task: USERADMIN users and roles, SYSADMIN databases and "
        "warehouses, SECURITYADMIN grants",
        _CONTROL,
        "account._bootstrap",
    )
    WAREHOUSE_NEEDED = Source(
        "a query runs on a warehouse that its role may use: 000606",
        "user-guide/warehouses-overview",
        "context.Context.require_warehouse",
    )
    MANAGED_ACCESS = Source(
        "in a managed access schema the schema's owner grants, and the objects' owners cannot",
        _CONFIGURE,
        "granting._may_grant",
    )
    MANAGED_SHOWN = Source(
        "SHOW GRANTS ON SCHEMA shows the owner of a managed access schema with MANAGE GRANTS",
        "release-notes/bcr-bundles/2023_08/bcr-1397",
        "show_grants._owners",
    )
    MANAGE_GRANTS_INSIDE = Source(
        "MANAGE GRANTS can be granted on one schema, if the account opted in to that preview",
        "user-guide/container-manage-grants-intro",
        "account.Account.manages_grants",
    )
    FUTURE_USAGE = Source(
        "a future grant to a database role needs USAGE on its database besides MANAGE GRANTS; one "
        "to another role does not",
        "sql-reference/sql/grant-privilege",
        "granting._require_usage_for",
    )
    FUTURE_OWNER = Source(
        "a schema or database has at most one future owner of a kind; in a managed access schema "
        "it is below the schema's owner, which cannot change while there is a future owner",
        "sql-reference/sql/grant-privilege",
        "granting._check_future_owner",
    )
    FUTURE_WHO = Source(
        "future grants are given with MANAGE GRANTS, or by the owner of a managed access schema",
        _CONFIGURE,
        "granting._grant_future",
    )
    FUTURE_SHADOWS = Source(
        "future grants on a schema hide those on its database for the same kind of object",
        _CONFIGURE,
        "account.Account.future_for",
    )
    DATABASE_ROLE_USAGE = Source(
        "a database role has USAGE on its database from the start",
        "sql-reference/sql/create-database-role",
        "ddl.create",
    )
    DATABASE_ROLE_INSIDE = Source(
        "a database role holds privileges only in its own database",
        _CONTROL,
        "granting._check_database_role",
    )
    DATABASE_ROLE_GRANTED = Source(
        "a database role is granted to roles, database roles of the same database, and users, and "
        "is revoked by REVOKE DATABASE ROLE, not by REVOKE USAGE",
        "sql-reference/sql/revoke-database-role",
        "granting.grant_role",
    )
    DATABASE_ROLE_NAMES = Source(
        "whoever has any privilege on a database sees the names of its database roles",
        "sql-reference/sql/show-database-roles",
        "account.Account.sees",
    )
    DATABASE_ROLE_TOLD = Source(
        "a role that can see a database can list the grants of its database roles",
        "",
        "show_grants._tells",
        "a deploy has PUBLIC_READ; it lists the roles of readers, too, and stops before it builds "
        "anything if Snowflake refuses that",
    )
    SECURITYADMIN_GRANTS_ROLES = Source(
        "SECURITYADMIN can grant database roles of databases on which it has no USAGE",
        "",
        "granting.grant_role",
        "SYSADMIN, which owns databases and database roles, grants them",
    )
    REPLACE_COPIES = Source(
        "CREATE OR REPLACE copies grants (BCR-2433) or drops them, unless it has COPY GRANTS",
        "release-notes/bcr-bundles/2026_08/bcr-2433",
        "ddl._copied_grants",
    )
    REPLACE_OWNER = Source(
        "replacing an object requires its ownership, and the privilege to create",
        "sql-reference/sql/create-table",
        "ddl._create_relation",
    )
    KINDS_SHOWN = Source(
        "SHOW GRANTS shows the kind of a relation and names database roles without their database, "
        "in each of its forms since bcr-2371",
        "release-notes/bcr-bundles/2026_06/bcr-2371",
        "show_grants._general",
    )
    KIND_LEFT_OUT = Source(
        "GRANT and REVOKE of SELECT accept a relation without its kind",
        "sql-reference/sql/grant-privilege",
        "grammar._Parser._securable",
    )
    USER_GRANTS = Source(
        "SHOW GRANTS TO USER has the columns of privileges since bcr-1803",
        "release-notes/bcr-bundles/2025_01/bcr-1803",
        "show_grants.show_grants",
    )
    GRANTOR = Source(
        "a grant by MANAGE GRANTS is recorded as one of the object's owner",
        _CONFIGURE,
        "granting._grantor",
    )
    SECONDARY_ROLES = Source(
        "secondary roles add privileges, by default of all of a user's roles, but create nothing",
        _CONTROL,
        "context.Context.require_create",
    )
    OWNERSHIP = Source(
        "ownership of an object with grants moves by COPY or REVOKE CURRENT GRANTS; COPY needs "
        "MANAGE GRANTS, or the new owner among the active roles",
        "sql-reference/sql/grant-ownership",
        "granting.grant_ownership",
    )
    MANAGED_OWNER = Source(
        "an object in a managed access schema can only be given to roles below the schema's owner",
        "sql-reference/sql/grant-privilege",
        "granting._check_managed_owner",
    )
    MANAGED_OWNER_ITSELF = Source(
        "GRANT OWNERSHIP on an object in a managed access schema works for the schema's own owner",
        "",
        "granting._check_managed_owner",
        "`apply --adopt` gives tables to their new owner before it switches managed access on",
    )
    MATERIALIZED_OWNER = Source(
        "ownership of a materialized view is granted as of a view",
        "sql-reference/sql/grant-ownership",
        "granting._owned_targets",
    )
    DROPPED_ROLE = Source(
        "what a dropped role owned passes to the role that dropped it",
        "sql-reference/sql/drop-role",
        "ddl._drop",
    )
    ROLE_CYCLE = Source(
        "roles cannot be granted in circles", "sql-reference/sql/grant-role", "granting.grant_role"
    )
    ALL_OBJECTS = Source(
        "GRANT … ON ALL applies to existing objects",
        "sql-reference/sql/grant-privilege",
        "granting._targets",
    )
    VIEW_OWNER = Source(
        "a view reads with the rights of its owner",
        "user-guide/views-introduction",
        "context.readable_by_owner",
    )
    ROLE_IN_SESSION = Source(
        "IS_DATABASE_ROLE_IN_SESSION of a column, in a view that is asked by its full name, looks "
        "for roles of the view's database among all of the session's; the names lack the database",
        "sql-reference/functions/is_database_role_in_session",
        "engine._view_of_session",
    )
    READ_COMMITTED = Source(
        "a statement sees what was committed before it began, and INSERTs run in parallel",
        "sql-reference/transactions",
        "engine.Engine.chosen",
    )
    TEMPORARY = Source(
        "a temporary table does not require CREATE TABLE",
        "sql-reference/sql/create-table",
        "ddl._create_relation",
    )
    INFORMATION_SCHEMA = Source(
        "INFORMATION_SCHEMA shows objects on which the role has a privilege",
        "sql-reference/info-schema",
        "information._visible",
    )
    DYNAMIC_OPERATED = Source(
        "OPERATE on a dynamic table suspends, resumes and refreshes it, and sets warehouse and lag",
        "user-guide/dynamic-tables/privileges",
        "ddl._operate",
    )
    RELATION_KINDS = Source(
        "dynamic tables, materialized, secure views, external and Iceberg tables are relations of "
        "their own kinds",
        _PRIVILEGES,
        "show._relation",
    )
    USERS_TOLD = Source(
        "SHOW USERS shows everybody the names, and the rest to a user's owner and to who manages "
        "grants",
        "sql-reference/sql/show-users",
        "show._told",
    )
    SERVICE_USERS = Source(
        "a user of TYPE = SERVICE has no password",
        "user-guide/admin-user-management",
        "ddl._check_user",
    )
    SERVICE_LATER = Source(
        "a user with a password can be changed to TYPE = SERVICE",
        "",
        "ddl._check_user",
        "if it is refused, `apply` stops: run `ALTER USER … UNSET PASSWORD`, then `apply` again",
    )
    USER_KEYS = Source(
        "MODIFY PROGRAMMATIC AUTHENTICATION METHODS on a user is enough to change its keys",
        "user-guide/key-pair-auth",
        "ddl._set",
    )
    DESCRIBE_USER = Source(
        "MONITOR on a user is enough for DESCRIBE USER, whose page names only OWNERSHIP",
        "",
        "show._described_user",
        "a refused DESC USER is tolerated: SHOW USER KEY PAIRS lists the keys",
    )
    KEY_PAIRS = Source(
        "named key pairs: at most ten, each key once, PUBLIC_KEY_1 and _2 reserved, restricted to "
        "a role that the user has",
        "sql-reference/sql/alter-user-add-key-pair",
        "keys.alter_key_pair",
    )
    KEY_PAIRS_SHOWN = Source(
        "SHOW USER KEY PAIRS lists only named pairs, with fingerprints that begin with SHA256:",
        "",
        "show._key_pairs",
        "slots in the list, and fingerprints without the prefix, are read as well",
    )
    MONITORS = Source(
        "only ACCOUNTADMIN creates resource monitors and assigns them to warehouses",
        "user-guide/resource-monitors",
        "ddl._check_properties",
    )
    POLICIES = Source(
        "a policy that is set on a user cannot be dropped, nor can the database that it is in",
        "sql-reference/sql/drop-authentication-policy",
        "ddl._refuse_when_attached",
    )
    PARAMETERS = Source(
        "SECURITYADMIN can show the parameters of a warehouse on which it has no USAGE",
        "",
        "show._parameters",
        "`plan` treats an error as `unknown`, not as a difference",
    )
    UNKNOWN_FUNCTION = Source(
        "error 002140 means an unknown function, never a missing privilege",
        "",
        "errors.unknown_function",
        "only errors 002003, 002043 and 003001 count as a missing privilege",
    )
    COLUMNS = Source(
        "SHOW and DESCRIBE answer in the documented columns",
        "sql-reference/sql/show",
        "rows.result",
    )

    @property
    def site(self) -> str:
        return "https://docs.snowflake.com/en/"


COLUMNS = {
    **dict.fromkeys(
        (
            *("SHOW GRANTS ON", "SHOW GRANTS TO ROLE", "SHOW GRANTS OF", "SHOW FUTURE GRANTS"),
            "SHOW GRANTS TO USER",
        ),
        "sql-reference/sql/show-grants",
    ),
    **{
        f"SHOW {words}": f"sql-reference/sql/show-{words.lower().replace(' ', '-')}"
        for words in (
            *("OBJECTS", "TABLES", "VIEWS", "DYNAMIC TABLES", "MATERIALIZED VIEWS"),
            *("EXTERNAL TABLES", "ICEBERG TABLES", "ROLES", "DATABASE ROLES", "USERS"),
            *("WAREHOUSES", "DATABASES", "SCHEMAS", "RESOURCE MONITORS", "NETWORK POLICIES"),
            *("AUTHENTICATION POLICIES", "NETWORK RULES", "STAGES", "SEQUENCES", "FILE FORMATS"),
            *("INTEGRATIONS", "PARAMETERS", "USER KEY PAIRS", "USER FUNCTIONS"),
        )
    },
    # the documentation lacks them; Snowflake's own provider for Terraform reads them
    "SHOW DATABASE ROLES": "https://github.com/snowflakedb/terraform-provider-snowflake/blob/main/"
    "pkg/sdk/database_role.go",
    "DESCRIBE USER": "sql-reference/sql/desc-user",
    "DESCRIBE TABLE": "sql-reference/sql/desc-table",
}
"""The page that documents the columns of each statement."""

BEYOND = {
    "network and authentication policies: they do not decide who signs in": "a test could lock "
    "users out",
    "resource monitors do not suspend; warehouses have no cost and no size": "it takes credits",
    "signatures of OIDC tokens, SSO, MFA and browsers": "they take an identity provider",
    "ACCOUNT_USAGE has columns, but no rows": "it lags by hours",
    "Snowflake's dialect and types beyond fakesnow on DuckDB": "the first deploy shows it",
    "temporary tables are visible to other sessions": "nothing depends on it",
    "shares, tags, masking and row access policies, tasks, streams, procedures, functions": (
        "the template creates none"
    ),
}
"""What the stand-in cannot show, and why a conformance run does not ask about it either."""
