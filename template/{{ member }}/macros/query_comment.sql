{#-
  The comment behind every statement, as JSON for an auditor to parse
  (snowflake/audit/who_did_what.sql). dbt's own has no run of CI in it.
-#}
{% macro query_comment(node) %}
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
