select * from {{ ref('orders') }} where customer_id is null
