/* naru
description: 일별 매출 (서울 날짜). Sales per day in Seoul, cancelled and refunded orders apart.
owner: finance@shop.example
schedule: "0 6 * * *"
limits: {timeout: 10m, retries: 2}
columns:
  day: 주문일 (서울). The day in Seoul.
  sales: 매출. Total of the orders that count.
  lost_orders: 취소·환불 주문 수. Cancelled and refunded orders.
checks:
  - {unique: day}
  - {not_null: day}
  - {warn: "row_count > 0"}
*/
SELECT
  ordered_on AS day,
  COUNTIF(counts) AS orders,
  COUNTIF(NOT counts) AS lost_orders,
  COUNT(DISTINCT customer_id) AS customers,
  SUM(IF(counts, total, 0)) AS sales,
  SAFE_DIVIDE(SUM(IF(counts, total, 0)), COUNTIF(counts)) AS average_order
FROM staging.orders
GROUP BY ordered_on
