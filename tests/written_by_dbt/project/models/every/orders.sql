select id, customer_id, amount, ordered_at, 'paid' as status from {{ ref('int_swordfish') }}
