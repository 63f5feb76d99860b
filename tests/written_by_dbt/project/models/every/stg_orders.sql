select id, customer_id, cast(amount as decimal(12, 2)) as amount, cast(ordered_at as timestamp) as ordered_at
from {{ ref('raw_orders') }}
where customer_id in (select id from {{ source('raw', 'people') }})
