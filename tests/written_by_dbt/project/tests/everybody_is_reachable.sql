select * from {{ source('crm', 'contacts') }} where email is null
