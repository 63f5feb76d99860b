with orders as (

    select * from {{ ref('stg_public_orders') }}
    where is_revenue

),

final as (

    select
        order_id,
        customer_id,
        country_code,
        ordered_on,
        net_amount,
        customer_order_number > 1 as is_repeat_order,
        cast(
            sum(net_amount) over (
                partition by customer_id
                order by ordered_on, order_id
                rows between unbounded preceding and current row
            ) as numeric(14, 2)
        ) as customer_value_so_far
    from orders

)

select * from final
