{{ config(materialized='ephemeral') }}
select *, {{ cents('amount') }} as cents from {{ ref('stg_orders') }}
