{#-
  Other projects read this one through the database role PUBLIC_READ of its prod database
  (snowflake/03_grant_mesh_access.sql). What that role may read follows `access: public`:

    grant_public_read       after a public model is built, grants SELECT on it
    reconcile_public_read   at the end of a run, revokes what is not public any more (a model that
                            became protected, was renamed, removed or disabled) and grants what a
                            run without that model left out

  The second is needed because CREATE OR REPLACE keeps grants on some accounts (BCR-2433) and drops
  them on others, and because dbt's own `grants` cannot revoke from a database role. Both do nothing
  outside of prod, and one SHOW GRANTS is all that a run costs where nothing changed.
-#}

{% macro grant_public_read() %}
    {%- if governs_public_read() and model.resource_type == 'model' and model.access == 'public' -%}
        grant select on {{ this }} to database role {{ public_read_role() }}
    {%- endif -%}
{% endmacro %}


{% macro reconcile_public_read() %}
    {%- if execute and governs_public_read() -%}
        {%- set wanted, schemas = {}, [stored_name(target.database) ~ '.MARTS'] -%}
        {%- for node in graph.nodes.values() if is_public_here(node) -%}
            {%- set name = stored_name(node.relation_name) -%}
            {%- do wanted.update({name: node}) -%}
            {%- do schemas.append(name.rsplit('.', 1)[0]) -%}
        {%- endfor -%}

        {%- set readable, enterable = [], [] -%}
        {%- for row in run_query('show grants to database role ' ~ public_read_role()) -%}
            {%- if row['granted_on'] == 'SCHEMA' -%}
                {%- do enterable.append(row['name']) -%}
                {%- if row['name'] not in schemas -%}
                    {%- do change_public_read('revoke usage on schema ' ~ row['name'] ~ ' from') -%}
                {%- endif -%}
            {%- elif row['granted_on'] != 'DATABASE' -%}
                {%- do readable.append(row['name']) -%}
                {%- if row['privilege'] != 'SELECT' or row['name'] not in wanted -%}
                    {%- do change_public_read(
                        'revoke ' ~ row['privilege'] ~ ' on ' ~ row['granted_on'] | replace('_', ' ')
                        ~ ' ' ~ row['name'] ~ ' from') -%}
                {%- endif -%}
            {%- endif -%}
        {%- endfor -%}

        {%- for schema in schemas | unique if schema not in enterable -%}
            {%- do change_public_read('grant usage on schema ' ~ schema ~ ' to') -%}
        {%- endfor -%}
        {%- for name, node in wanted.items() if name not in readable -%}
            {%- if adapter.get_relation(node.database, node.schema, node.alias) -%}
                {%- do change_public_read('grant select on ' ~ name ~ ' to') -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{% macro change_public_read(statement) %}
    {%- do log(statement ~ ' ' ~ public_read_role(), info=true) -%}
    {%- do run_query(statement ~ ' database role ' ~ public_read_role()) -%}
{% endmacro %}


{% macro governs_public_read() %}
    {{ return(target.name == 'prod' and target.type == 'snowflake') }}
{% endmacro %}


{% macro public_read_role() %}
    {{ return(target.database ~ '.PUBLIC_READ') }}
{% endmacro %}


{#- Models of other packages, such as those that dbt-loom injects, are not this project's to grant. -#}
{% macro is_public_here(node) %}
    {{ return(
        node.resource_type == 'model' and node.package_name == project_name
        and node.access == 'public' and node.config.materialized != 'ephemeral'
    ) }}
{% endmacro %}


{#- A name as SHOW GRANTS prints it: what is not quoted is stored in upper case. -#}
{% macro stored_name(relation_name) %}
    {%- set parts = [] -%}
    {%- for quoted, plain in modules.re.findall('"((?:[^"]|"")+)"|([^."]+)', relation_name) -%}
        {%- set text = quoted or plain | upper -%}
        {%- set is_plain = modules.re.fullmatch('[A-Z_][A-Z0-9_$]*', text) -%}
        {%- do parts.append(text if is_plain else '"' ~ text ~ '"') -%}
    {%- endfor -%}
    {{ return(parts | join('.')) }}
{% endmacro %}
