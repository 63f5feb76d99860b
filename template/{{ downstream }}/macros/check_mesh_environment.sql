{#-
  The contracts of other projects name the databases of one environment: those on a laptop
  (<PREFIX>_LOCAL) or those on Snowflake (<PREFIX>_PROD). Stops before the first model where
  they are not this target's, which would otherwise be a "does not exist" in every model.
-#}
{% macro check_mesh_environment() %}
    {%- if execute -%}
        {%- set mesh = [] -%}
        {%- for source in graph.sources.values() if source.config.meta.get('mesh_upstream') -%}
            {%- do mesh.append(source) -%}
        {%- endfor -%}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'model' and node.package_name not in (project_name, 'dbt')
            and not node.original_file_path and node.access == 'public' -%}
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
