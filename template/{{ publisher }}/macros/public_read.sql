{#-
  Other projects read this one through database roles of its prod database
  (snowflake/03_grant_mesh_access.sql). What a role may read follows from the models' own settings:

    access: public                                              PUBLIC_READ, which every project has
    access: public, with meta: {consumers: [dbt_finance]}       READ_DBT_FINANCE and the like, which
                                                                each project makes here for itself

    revoke_public_read      before anything is built, revokes what a role should not read any more: a
                            model that became protected, was renamed, removed or disabled, or names
                            other consumers. So what a run builds is never readable by mistake,
                            whether the run is partial, fails or is killed.
    grant_public_read       after a public model is built, grants SELECT on it
    reconcile_public_read   at the end of a run, revokes again, and grants what is missing on models
                            that this run has built, or that a reader could read when it began. A
                            model that becomes public is not readable before it is built again:
                            until then its table is the one that was built when it was private.

  A run that has nothing to build calls no hook. Therefore the deploy workflow also runs the first
  macro by itself before each build (`dbt run-operation revoke_public_read --target prod`).

  CREATE OR REPLACE keeps grants on some accounts (BCR-2433) and drops them on others, and dbt's own
  `grants` cannot revoke from a database role. All three do nothing outside of prod. If nothing
  changed, a run costs two SHOW for each role and one for their list, however many models there are.

  Snowflake's documentation does not say whether a role may SHOW the grants of a database role that it
  does not have. If it may not, a deploy stops before it builds anything.
-#}

{% macro revoke_public_read() %}
    {%- if execute and governs_public_read() -%}
        {%- for role, nodes in wanted_readers().items() -%}
            {%- do revoke_from_reader(role, nodes) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{% macro grant_public_read() %}
    {%- if execute and governs_public_read() and is_public_here(model) -%}
        {%- for role in readers_of(model) -%}
            {%- do run_query('grant select on ' ~ this ~ ' to database role ' ~ role) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{% macro reconcile_public_read() %}
    {%- if execute and governs_public_read() -%}
        {%- set built, held, waiting = [], {}, [] -%}
        {%- for result in results | default([]) if result.status == 'success' -%}
            {%- do built.append(result.node.unique_id) -%}
        {%- endfor -%}
        {%- set wanted = wanted_readers() -%}
        {%- for role, nodes in wanted.items() -%}
            {%- do held.update({role: revoke_from_reader(role, nodes)}) -%}
        {%- endfor -%}
        {%- for role, nodes in wanted.items() -%}
            {%- do waiting.extend(grant_to_reader(role, nodes, held[role], built)) -%}
        {%- endfor -%}
        {%- do note_waiting(waiting | unique | list) -%}
        {%- do note_consumers_without_role() -%}
    {%- endif -%}
{% endmacro %}


{#- Returns, by database role, what it may read: stored name → [the public model, the name's last part]. -#}
{% macro wanted_readers() %}
    {%- set wanted = {public_read_role(): {}} -%}
    {%- for role in consumer_roles().values() -%}
        {%- do wanted.update({role: {}}) -%}
    {%- endfor -%}
    {%- for node in graph.nodes.values() if is_public_here(node) -%}
        {%- for role in readers_of(node) -%}
            {%- for name, identifier in relations_of(node) -%}
                {%- do wanted[role].update({stored_name(name): [node, identifier]}) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(wanted) }}
{% endmacro %}


{#- Revokes what a role should not read. Returns the names of schemas and relations that it keeps. What it
    could read before is stored in `graph` for the end of the run: hooks of a run share nothing else. -#}
{% macro revoke_from_reader(role, wanted) %}
    {%- set schemas, left, read = schemas_of(role, wanted), [], graph.get('mesh_read', []) -%}
    {%- for row in run_query('show grants to database role ' ~ role) -%}
        {%- set kind, name, privilege = row['granted_on'] | replace('_', ' '), row['name'], row['privilege'] -%}
        {%- if privilege == 'SELECT' -%}
            {%- do read.append(name) -%}
        {%- endif -%}
        {%- if is_of_registry(name, privilege, row['granted_by']) -%}
            {#- the contracts, which snowflake/03 grants -#}
        {%- elif kind == 'DATABASE ROLE' -%}
            {%- do change_reader('revoke database role ' ~ name ~ ' from', role) -%}
        {%- elif (kind == 'SCHEMA' and privilege == 'USAGE' and name in schemas)
            or (kind != 'SCHEMA' and privilege == 'SELECT' and name in wanted) -%}
            {%- do left.append(name) -%}
        {%- elif privilege == 'SELECT' -%}
            {#- Without a kind, because the one shown is not always the object's: bcr-2371. -#}
            {%- do change_reader('revoke select on ' ~ name ~ ' from', role) -%}
        {%- elif kind != 'DATABASE' -%}
            {%- do change_reader('revoke ' ~ privilege ~ ' on ' ~ kind ~ ' ' ~ name ~ ' from', role) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do graph.update({'mesh_read': read}) -%}
    {{ return(left) }}
{% endmacro %}


{#- Checks whether this is a privilege on the schema of a registry in Snowflake, or on its view of
    contracts. SYSADMIN owns both. A schema of that name that the deploy role owns is the project's. -#}
{% macro is_of_registry(name, privilege, granted_by) %}
    {%- set schema = stored_name(target.database ~ '.MESH') -%}
    {{ return(
        granted_by == 'SYSADMIN'
        and [name, privilege] in [[schema, 'USAGE'], [schema ~ '.PUBLISHED', 'SELECT']]
    ) }}
{% endmacro %}


{#- Grants what a role should read and does not hold: what this run has built, and what a reader could
    read when it began. Returns the names of the other existing models: they were built before they were
    public, or before they had this reader. -#}
{% macro grant_to_reader(role, wanted, held, built) %}
    {%- set waiting, read = [], graph.get('mesh_read', []) -%}
    {%- for schema in schemas_of(role, wanted) if schema not in held -%}
        {%- do change_reader('grant usage on schema ' ~ schema ~ ' to', role) -%}
    {%- endfor -%}
    {%- for name, found in wanted.items() if name not in held -%}
        {%- set node, identifier = found -%}
        {%- if adapter.get_relation(node.database, node.schema, identifier) -%}
            {%- if node.unique_id in built or name in read -%}
                {%- do change_reader('grant select on ' ~ name ~ ' to', role) -%}
            {%- else -%}
                {%- do waiting.append(node.name) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(waiting) }}
{% endmacro %}


{% macro note_waiting(models) %}
    {%- if models -%}
        {%- do log(
            'note: not readable yet, because it was made before it was public or had this reader: '
            ~ models | join(', ') ~ '. Build it: dbt build --target prod --select ' ~ models | join(' '),
            info=true) -%}
    {%- endif -%}
{% endmacro %}


{#- Returns the schemas that a role needs USAGE on: those of what it reads, and for PUBLIC_READ the
    target's schema (snowflake/03). -#}
{% macro schemas_of(role, wanted) %}
    {%- set found = [] -%}
    {%- if role == public_read_role() -%}
        {%- do found.append(stored_name(target.database ~ '.' ~ target.schema)) -%}
    {%- endif -%}
    {%- for name in wanted -%}
        {%- do found.append(container_of(name)) -%}
    {%- endfor -%}
    {{ return(found | unique | list) }}
{% endmacro %}


{% macro note_consumers_without_role() %}
    {%- set without_role = {} -%}
    {%- for node in graph.nodes.values() if is_public_here(node) -%}
        {%- for consumer in (named_consumers(node) or []) | unique
            if consumer not in consumer_roles() and consumer != project_name -%}
            {%- do without_role.setdefault(consumer, []).append(node.name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for consumer, models in without_role.items() -%}
        {%- do log(
            'note: ' ~ consumer ~ ' may read ' ~ models[0]
            ~ (' and ' ~ (models | length - 1) ~ ' more' if models | length > 1 else '')
            ~ ', but is not set up here: its people run `scripts/snowflake_access.py apply`, '
            ~ 'and the next run that builds it grants it', info=true) -%}
    {%- endfor -%}
{% endmacro %}


{% macro change_reader(statement, role) %}
    {%- set statement = statement ~ ' database role ' ~ role -%}
    {%- do log(statement, info=true) -%}
    {%- do run_query(statement) -%}
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
            {%- set consumer = (row['comment'] or '')[10:] -%}
            {%- if row['comment'] == 'dbt mesh: ' ~ consumer and row['name'] == 'READ_' ~ consumer | upper -%}
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


{#- Returns the projects that a model names in its `meta.consumers`, or none if it is for all projects.
    The library reads it in the same way for contracts. -#}
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


{#- Checks whether a model is this project's, and not of a package or injected by dbt-loom, and is in
    the target's database: a database role holds privileges only on objects of its own database. -#}
{% macro is_public_here(node) %}
    {{ return(
        node.resource_type == 'model' and node.package_name == project_name
        and node.access == 'public' and node.config.materialized != 'ephemeral'
        and node.database | upper == target.database | upper
    ) }}
{% endmacro %}


{#- Returns where readers find a model, as [relation name, identifier]: its own relation, and for the
    latest version the view without a suffix, which is not a node. dbt makes that view if
    `latest_version_pointer` is enabled; by default only v2 enables it. dbt 1.12 has the flag among its
    arguments, v2 among its flags. -#}
{% macro relations_of(node) %}
    {%- set found = [[node.relation_name, node.alias]] -%}
    {%- set pointer = node.config.get('latest_version_pointer') or {} -%}
    {%- set flag = 'latest_version_pointer_enabled_by_default' -%}
    {%- set by_default = invocation_args_dict.get(flag, flags[flag] | default(dbt_version.startswith('2.'))) -%}
    {%- if node.get('version') is not none and node.get('version') == node.get('latest_version')
        and (by_default if pointer.get('enabled') is none else pointer.get('enabled')) -%}
        {%- set identifier = generate_latest_version_pointer_alias(pointer.get('alias'), node) | trim -%}
        {%- set name = '"' ~ identifier ~ '"' if node.relation_name.endswith('"') else identifier -%}
        {%- do found.append([container_of(node.relation_name) ~ '.' ~ name, identifier]) -%}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}


{% macro container_of(name) %}
    {{ return(modules.re.sub('[.]("([^"]|"")+"|[^".]+)$', '', name)) }}
{% endmacro %}


{#- Returns a name as SHOW GRANTS prints it: without quotes it is stored in upper case. -#}
{% macro stored_name(relation_name) %}
    {%- set parts = [] -%}
    {%- for quoted, plain in modules.re.findall('"((?:[^"]|"")+)"|([^."]+)', relation_name) -%}
        {%- set text = quoted or plain | upper -%}
        {%- set is_plain = modules.re.fullmatch('[A-Z_][A-Z0-9_$]*', text) -%}
        {%- do parts.append(text if is_plain else '"' ~ text ~ '"') -%}
    {%- endfor -%}
    {{ return(parts | join('.')) }}
{% endmacro %}
