{#-
  Other projects read this one through database roles of its prod database
  (snowflake/03_grant_mesh_access.sql). What those may read follows what models say of themselves:

    access: public                                              PUBLIC_READ, which every project has
    access: public, with meta: {consumers: [dbt_finance]}       READ_DBT_FINANCE and the like, which
                                                                each project makes here for itself

    grant_public_read       after a public model is built, grants SELECT on it
    reconcile_public_read   at the end of a run, revokes what a role should not read any more (a
                            model that became protected, was renamed, removed or disabled, or names
                            other consumers) and grants what a run without that model left out

  The second is needed because CREATE OR REPLACE keeps grants on some accounts (BCR-2433) and drops
  them on others, and because dbt's own `grants` cannot revoke from a database role. Both do nothing
  outside of prod. Where nothing changed, a run costs one SHOW for each role and one for their list,
  however many models there are.
-#}

{% macro grant_public_read() %}
    {%- if execute and governs_public_read() and is_public_here(model) -%}
        {%- for role in readers_of(model) -%}
            {%- do run_query('grant select on ' ~ this ~ ' to database role ' ~ role) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{% macro reconcile_public_read() %}
    {%- if execute and governs_public_read() -%}
        {%- set wanted, without_role = {public_read_role(): {}}, {} -%}
        {%- for role in consumer_roles().values() -%}
            {%- do wanted.update({role: {}}) -%}
        {%- endfor -%}
        {%- for node in graph.nodes.values() if is_public_here(node) -%}
            {%- for role in readers_of(node) -%}
                {%- do wanted[role].update({stored_name(node.relation_name): node}) -%}
            {%- endfor -%}
            {%- for consumer in (named_consumers(node) or []) | unique if consumer not in consumer_roles() -%}
                {%- do without_role.setdefault(consumer, []).append(node.name) -%}
            {%- endfor -%}
        {%- endfor -%}

        {%- for role, nodes in wanted.items() -%}
            {%- do reconcile_reader(role, nodes) -%}
        {%- endfor -%}
        {%- for consumer, models in without_role.items() if consumer != project_name -%}
            {%- do log(
                'note: ' ~ consumer ~ ' may read ' ~ models[0]
                ~ (' and ' ~ (models | length - 1) ~ ' more' if models | length > 1 else '')
                ~ ', but is not set up here: its people run `scripts/snowflake_access.py apply`, '
                ~ 'and the next run grants it', info=true) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{#- wanted: the models that the role may read, by their stored names. -#}
{% macro reconcile_reader(role, wanted) %}
    {%- set schemas = [stored_name(target.database) ~ '.MARTS'] if role == public_read_role() else [] -%}
    {%- for name in wanted -%}
        {%- do schemas.append(name.rsplit('.', 1)[0]) -%}
    {%- endfor -%}

    {%- set readable, enterable = [], [] -%}
    {%- for row in run_query('show grants to database role ' ~ role) -%}
        {%- if row['granted_on'] == 'SCHEMA' -%}
            {%- do enterable.append(row['name']) -%}
            {%- if row['name'] not in schemas -%}
                {%- do change_reader('revoke usage on schema ' ~ row['name'] ~ ' from', role) -%}
            {%- endif -%}
        {%- elif row['granted_on'] != 'DATABASE' -%}
            {%- do readable.append(row['name']) -%}
            {%- if row['privilege'] != 'SELECT' or row['name'] not in wanted -%}
                {%- do change_reader(
                    'revoke ' ~ row['privilege'] ~ ' on ' ~ row['granted_on'] | replace('_', ' ')
                    ~ ' ' ~ row['name'] ~ ' from', role) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}

    {%- for schema in schemas | unique if schema not in enterable -%}
        {%- do change_reader('grant usage on schema ' ~ schema ~ ' to', role) -%}
    {%- endfor -%}
    {%- for name, node in wanted.items() if name not in readable -%}
        {%- if adapter.get_relation(node.database, node.schema, node.alias) -%}
            {%- do change_reader('grant select on ' ~ name ~ ' to', role) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro change_reader(statement, role) %}
    {%- do log(statement ~ ' ' ~ role, info=true) -%}
    {%- do run_query(statement ~ ' database role ' ~ role) -%}
{% endmacro %}


{% macro governs_public_read() %}
    {{ return(target.name == 'prod' and target.type == 'snowflake') }}
{% endmacro %}


{% macro public_read_role() %}
    {{ return(target.database ~ '.PUBLIC_READ') }}
{% endmacro %}


{#- Project → its own database role here, of those that are set up. Asked once: `graph` is the one
    thing that all hooks of a run share. -#}
{% macro consumer_roles() %}
    {%- if 'mesh_consumer_roles' not in graph -%}
        {%- set found = {} -%}
        {%- for row in run_query('show database roles in database ' ~ target.database) -%}
            {%- set consumer = row['name'][5:] | lower -%}
            {%- if row['name'][:5] == 'READ_' and row['comment'] == 'dbt mesh: ' ~ consumer -%}
                {%- do found.update({consumer: target.database ~ '.' ~ row['name']}) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do graph.update({'mesh_consumer_roles': found}) -%}
    {%- endif -%}
    {{ return(graph['mesh_consumer_roles']) }}
{% endmacro %}


{#- The database roles that may read a public model. -#}
{% macro readers_of(node) %}
    {%- set named = named_consumers(node) -%}
    {%- if named is none -%}
        {{ return([public_read_role()]) }}
    {%- endif -%}
    {%- set roles = [] -%}
    {%- for consumer, role in consumer_roles().items() if consumer in named -%}
        {%- do roles.append(role) -%}
    {%- endfor -%}
    {{ return(roles) }}
{% endmacro %}


{#- The projects that a model names in its `meta.consumers`; none: it is for all of them. As
    shared_with() of scripts/mesh/interface.py has it, for contracts. -#}
{% macro named_consumers(node) %}
    {%- set named = (node.config.meta or node.meta or {}).get('consumers') -%}
    {%- if named is none -%}
        {{ return(none) }}
    {%- elif named is string -%}
        {{ return(modules.re.findall('[^,\\s]+', named)) }}
    {%- elif named is sequence and named is not mapping -%}
        {{ return(named | map('string') | list) }}
    {%- endif -%}
    {{ return([named | string]) }}
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
