select id, amount as refund from {{ ref('stg_orders') }}
