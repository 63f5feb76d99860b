select 'EUR' as code, cast(1 as double) as rate
