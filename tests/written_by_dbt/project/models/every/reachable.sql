select person, email from {{ source('crm', 'contacts') }}
