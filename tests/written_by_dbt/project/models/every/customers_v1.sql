select distinct customer_id as id, 'Ada Lovelace' as full_name from {{ ref('orders') }}
