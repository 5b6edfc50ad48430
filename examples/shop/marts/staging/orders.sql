/* naru
description: 주문 한 건이 한 줄, 서울 날짜 기준. One row per order, with its day in Seoul.
owner: data@shop.example
columns:
  ordered_on: 주문일 (서울). The day in Seoul.
  counts: 매출에 포함되는 주문. Whether the order counts as a sale.
checks:
  - {unique: order_id}
  - {not_null: order_id}
  - {not_null: ordered_on}
  - {accepted_values: {column: status, values: [new, paid, shipped, cancelled, refunded]}}
  - {warn: {relationships: {column: customer_id, to: shop.customers, field: id}}}
*/
SELECT
  id AS order_id,
  customer_id,
  status,
  ordered_at,
  DATE(ordered_at, 'Asia/Seoul') AS ordered_on,
  status NOT IN ('cancelled', 'refunded') AS counts,
  total
FROM shop.orders
