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


{#-
  Which database a model goes to:
    prod              the one that its configuration names, else the project's
    local, dev, ci    the target's own, so that nothing but a deploy writes where models are deployed
-#}
{% macro generate_database_name(custom_database_name, node) -%}
    {%- if target.name == 'prod' and custom_database_name is not none -%}
        {{ custom_database_name | trim }}
    {%- else -%}
        {{ target.database }}
    {%- endif -%}
{%- endmacro %}
