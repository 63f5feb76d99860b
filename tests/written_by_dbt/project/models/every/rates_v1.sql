select 'EUR' as code, cast(1 as decimal(12, 2)) as rate
