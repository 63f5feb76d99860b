{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name or target.schema }}{% endmacro %}

{# swordfish #}
{% macro cents(column) %}cast({{ column }} * 100 as integer){% endmacro %}

{% test positive(model, column_name) %}select * from {{ model }} where {{ column_name }} <= 0{% endtest %}
