{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='ordered_on',
        cluster_by=['ordered_on'],
        on_schema_change='append_new_columns'
    )
}}

with orders as (

    select * from {{ ref('public_orders') }}
    {% if is_incremental() %}
    -- orders change for a week after they were placed: those days are computed again
    where ordered_on >= (
        select {{ dbt.dateadd('day', -7, 'max(ordered_on)') }} from {{ this }}
    )
    {% endif %}

),

final as (

    select
        ordered_on,
        count(*) as orders,
        sum(case when is_revenue then 1 else 0 end) as revenue_orders,
        sum(case when customer_order_number = 1 then 1 else 0 end) as first_orders,
        cast(sum(net_amount) as numeric(14, 2)) as revenue
    from orders
    group by ordered_on

)

select * from final
