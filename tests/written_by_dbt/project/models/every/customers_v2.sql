select distinct customer_id as id, 'Ada' as first_name from {{ ref('orders') }}
