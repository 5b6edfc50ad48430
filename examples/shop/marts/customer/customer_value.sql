/* naru
description: 고객별 구매 요약. What each customer has bought.
owner: crm@shop.example
columns:
  segment: 구매 횟수에 따른 등급 (신규·단골·충성). By the number of orders.
checks:
  - {unique: customer_id}
  - {not_null: customer_id}
  - {accepted_values: {column: segment, values: [구매 없음, 신규, 단골, 충성]}}
*/
WITH bought AS (
  SELECT
    customer_id,
    COUNT(*) AS orders,
    SUM(total) AS sales,
    MIN(ordered_on) AS first_ordered_on,
    MAX(ordered_on) AS last_ordered_on
  FROM staging.orders
  WHERE counts
  GROUP BY customer_id
)
SELECT
  customers.customer_id,
  customers.name,
  customers.country,
  customers.joined_on,
  COALESCE(bought.orders, 0) AS orders,
  COALESCE(bought.sales, 0) AS sales,
  SAFE_DIVIDE(bought.sales, bought.orders) AS average_order,
  bought.first_ordered_on,
  bought.last_ordered_on,
  CASE
    WHEN bought.orders IS NULL THEN '구매 없음'
    WHEN bought.orders = 1 THEN '신규'
    WHEN bought.orders < 5 THEN '단골'
    ELSE '충성'
  END AS segment
FROM staging.customers AS customers
LEFT JOIN bought ON bought.customer_id = customers.customer_id
