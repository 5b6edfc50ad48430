/* naru
description: 월별·분류별 매출. Sales per month and category.
owner: finance@shop.example
columns:
  month: 매출 월의 첫날. First day of the month in Seoul.
checks:
  - {unique: [month, category]}
  - {not_null: month}
*/
SELECT
  DATE_TRUNC(orders.ordered_on, MONTH) AS month,
  COALESCE(lines.category, '(없음)') AS category,
  SUM(lines.quantity) AS units,
  SUM(lines.amount) AS sales
FROM staging.order_lines AS lines
JOIN staging.orders AS orders ON orders.order_id = lines.order_id
WHERE orders.counts
GROUP BY 1, 2
