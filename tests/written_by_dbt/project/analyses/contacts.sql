select count(*) from {{ source('crm', 'contacts') }}
