{#-
  The comment behind every statement, as JSON for an auditor to parse
  (snowflake/audit/who_did_what.sql). dbt's own comment does not name the run of CI.

  dbt calls this macro before it connects, so a missing account is reported here: the errors of
  Snowflake's drivers would not say what to do. dbt Core has no `exceptions` in this macro, but its
  error shows the name of a variable that is not set. On dbt v2 an account is never empty: see
  profiles.yml.
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
