/* naru
description: 일별·결제수단별 입금. Payments per day in Seoul and method.
owner: finance@shop.example
checks:
  - {unique: [day, method]}
*/
SELECT
  DATE(paid_at, 'Asia/Seoul') AS day,
  method,
  COUNT(*) AS payments,
  SUM(amount) AS amount
FROM shop.payments
GROUP BY 1, 2
