{{ config(event_time='moment') }}
select timestamp '2026-01-01' as moment
