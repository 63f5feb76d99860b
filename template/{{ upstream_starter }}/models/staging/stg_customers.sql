-- The source is loaded by the seed of the same name: the next line has dbt load it first.
{% if not execute %}{{ ref('customers') }}{% endif %}

with source as (

    select * from {{ source('raw', 'customers') }}

),

cleaned as (

    select
        id as customer_id,
        trim(name) as customer_name,
        lower(trim(email)) as email,
        upper(country) as country_code,
        signed_up_at as signed_up_on
    from source

)

select * from cleaned
