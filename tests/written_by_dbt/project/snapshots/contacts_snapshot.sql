{% snapshot contacts_snapshot %}
{{ config(target_schema='SNAPSHOTS', unique_key='person', strategy='check', check_cols='all') }}
select * from {{ source('crm', 'contacts') }}
{% endsnapshot %}
