{#-
  Where a model goes:
    local, prod   the schema its configuration names, exactly (RAW, STAGING, MARTS)
    dev, ci       the one schema of the person or of the pull request (ADA_DEV, PR_42)
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if target.name in ('local', 'prod') and custom_schema_name is not none -%}
        {{ custom_schema_name | trim }}
    {%- else -%}
        {{ target.schema }}
    {%- endif -%}
{%- endmacro %}
