{#- What differs between the target on a laptop (DuckDB) and those on Snowflake. -#}


{#-
  The contracts of other projects name the databases of one environment: those on a laptop
  (<PREFIX>_LOCAL) or those on Snowflake (<PREFIX>_PROD). If they do not fit the target, this stops
  the run before the first model. Otherwise every model would fail with "does not exist".
-#}
{% macro check_mesh_environment() %}
    {%- if execute -%}
        {%- set mesh, read = [], {} -%}
        {%- for source in graph.sources.values() if source.config.meta.get('mesh_upstream') -%}
            {%- do mesh.append(source) -%}
        {%- endfor -%}
        {%- for node in graph.nodes.values() if node.package_name == project_name -%}
            {%- for parent in (node.depends_on or {}).get('nodes') or [] -%}
                {%- do read.update({parent: true}) -%}
            {%- endfor -%}
        {%- endfor -%}
        {#- dbt-loom adds all public models, also those that no model reads. -#}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'model' and node.package_name not in (project_name, 'dbt')
            and not node.raw_code and node.access == 'public' and node.unique_id in read -%}
            {%- do mesh.append(node) -%}
        {%- endfor -%}
        {%- for upstream in mesh -%}
            {%- set is_local = (upstream.database or '').endswith('_LOCAL') -%}
            {%- if target.type == 'snowflake' and is_local -%}
                {%- do exceptions.raise_compiler_error(
                    upstream.name ~ " lies in " ~ upstream.database ~ ", on a laptop, but target "
                    ~ target.name ~ " is Snowflake: run scripts/sync_mesh.py --env prod") -%}
            {%- elif target.type == 'duckdb' and upstream.database and not is_local -%}
                {%- do exceptions.raise_compiler_error(
                    upstream.name ~ " lies in " ~ upstream.database ~ ", on Snowflake, but target "
                    ~ target.name ~ " is a laptop: run scripts/sync_mesh.py --env local") -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{#-
  On DuckDB, attaches the stub tables of this project's own sources (scripts/stub_mesh.py): one file
  for each database that the sources name. A source in the target's own database needs none.
-#}
{% macro attach_stand_ins() %}
    {%- if execute and target.type == 'duckdb' -%}
        {%- set folder = env_var('DBT_MESH_HOME', '../.mesh') ~ '/' ~ target.database ~ '.sources/' -%}
        {%- set databases = [] -%}
        {%- for source in graph.sources.values()
            if source.database and source.database | lower != target.database | lower
            and not source.config.meta.get('mesh_upstream')
            and source.database not in databases -%}
            {%- do databases.append(source.database) -%}
        {%- endfor -%}
        {%- for database in databases -%}
            {%- set file = "'" ~ (folder ~ database ~ '.duckdb') | replace("'", "''") ~ "'" -%}
            {%- if run_query('select file from glob(' ~ file ~ ')').rows | length -%}
                {%- do run_query('attach if not exists ' ~ file ~ ' as "' ~ database | replace('"', '""')
                    ~ '" (read_only)') -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{#- Only Snowflake has dynamic tables: on DuckDB the same model is a table. -#}
{% materialization dynamic_table, adapter='duckdb' %}
    {{ return(materialization_table_duckdb()) }}
{% endmaterialization %}
