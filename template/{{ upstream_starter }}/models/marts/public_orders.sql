with orders as (

    select * from {{ ref('stg_orders') }}

),

customers as (

    select * from {{ ref('stg_customers') }}

),

-- revenue counts once an order is on its way, and not for what came back
valued as (

    select
        orders.*,
        status in ('shipped', 'completed') as is_revenue,
        case when status in ('shipped', 'completed') then amount - discount else 0 end as net_amount
    from orders

),

-- cancelled orders do not make somebody a returning customer
numbered as (

    select
        order_id,
        row_number() over (partition by customer_id order by ordered_on, order_id) as order_number,
        lag(ordered_on) over (partition by customer_id order by ordered_on, order_id) as previous_on
    from valued
    where status <> 'cancelled'

),

final as (

    select
        cast(valued.order_id as integer) as order_id,
        cast(valued.customer_id as integer) as customer_id,
        cast(customers.customer_name as varchar(200)) as customer_name,
        cast(customers.country_code as varchar(2)) as country_code,
        valued.ordered_on,
        cast(valued.status as varchar(20)) as status,
        valued.is_revenue,
        cast(valued.amount as numeric(12, 2)) as gross_amount,
        cast(valued.discount as numeric(12, 2)) as discount,
        cast(valued.net_amount as numeric(12, 2)) as net_amount,
        cast(numbered.order_number as integer) as customer_order_number,
        cast(
            {{ dbt.datediff('numbered.previous_on', 'valued.ordered_on', 'day') }} as integer
        ) as days_since_previous_order
    from valued
    inner join customers on valued.customer_id = customers.customer_id
    left join numbered on valued.order_id = numbered.order_id

)

select * from final
