{#-
  The comment behind every statement, as JSON for an auditor to parse
  (snowflake/audit/who_did_what.sql). dbt's own has no run of CI in it.

  dbt asks for it before it connects, so it is here that a missing account is told: what Snowflake's
  drivers say then names no way out. dbt Core has no `exceptions` here, but shows what a variable
  that is not set is called. On dbt v2 an account is never empty: see profiles.yml.
-#}
{% macro query_comment(node) %}
    {%- if target.type == 'snowflake' and target.account in ('', 'not-answered-yet')
        and flags.WHICH not in ('parse', 'list', 'ls') -%}
        {%- do env_var(
            "SNOWFLAKE_ACCOUNT (the target " ~ target.name ~ " needs an account: copier update --trust "
            ~ "--skip-answered --ask snowflake_account, or export SNOWFLAKE_ACCOUNT=ORG-ACCOUNT; on "
            ~ "your laptop without one: dbt build --target local)") -%}
    {%- endif -%}
    {%- set comment = {
        'app': 'dbt',
        'project': project_name,
        'target': target.name,
        'invocation_id': invocation_id,
        'run': env_var('GITHUB_RUN_ID', ''),
        'node_id': node.unique_id if node else '',
    } -%}
    {{ return(tojson(comment)) }}
{% endmacro %}
