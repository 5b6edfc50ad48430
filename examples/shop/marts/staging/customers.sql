/* naru
kind: view
description: 고객, 서울 날짜 기준 가입일 포함. Customers with the day they joined in Seoul.
owner: data@shop.example
columns:
  email: 소문자로 통일한 이메일. Lower case.
  joined_on: 가입일 (서울). The day in Seoul.
checks:
  - {unique: customer_id}
  - {not_null: customer_id}
*/
SELECT
  id AS customer_id,
  name,
  LOWER(email) AS email,
  country,
  created_at,
  DATE(created_at, 'Asia/Seoul') AS joined_on
FROM shop.customers
