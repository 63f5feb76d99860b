-- The source is loaded by the seed of the same name: the next line has dbt load it first.
{% if not execute %}{{ ref('orders') }}{% endif %}

with source as (

    select * from {{ source('raw', 'orders') }}

),

cleaned as (

    select
        id as order_id,
        customer_id,
        ordered_on,
        lower(trim(status)) as status,
        cast(amount_cents / 100.0 as numeric(12, 2)) as amount,
        cast(discount_cents / 100.0 as numeric(12, 2)) as discount,
        updated_at
    from source
    -- test orders have no customer
    where customer_id is not null

),

-- the source sends an order again when it changes
latest as (

    select *
    from cleaned
    qualify row_number() over (partition by order_id order by updated_at desc) = 1

)

select * from latest
