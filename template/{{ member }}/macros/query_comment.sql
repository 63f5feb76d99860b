{#-
  The comment behind every statement, as JSON for an auditor to parse
  (snowflake/audit/who_did_what.sql). dbt's own has no run of CI in it.

  dbt asks for it before it connects, so it is here that a missing account is told: what Snowflake's
  connector says then (251001) names no way out.
-#}
{% macro query_comment(node) %}
    {%- if target.type == 'snowflake' and not target.account -%}
        {%- do log(
            "The target " ~ target.name ~ " needs a Snowflake account. Name it: copier update --trust "
            ~ "--skip-answered --ask snowflake_account (or export SNOWFLAKE_ACCOUNT=ORG-ACCOUNT). "
            ~ "Without one, on your laptop: dbt build --target local", info=true) -%}
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
