{{ config(materialized='incremental', unique_key='day', alias='Daily Margins') }}
select cast(ordered_at as date) as day, sum(amount) as margin from {{ ref('orders') }}
{% if is_incremental() %}where ordered_at >= (select max(day) from {{ this }}){% endif %}
group by 1
