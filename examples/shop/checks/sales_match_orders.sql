/* naru
description: 일별 매출의 합은 주문 합계와 같아야 한다. Daily sales add up to the orders they come from.
*/
SELECT sales.total AS in_daily_sales, orders.total AS in_orders
FROM (SELECT COALESCE(SUM(sales), 0) AS total FROM finance.daily_sales) AS sales
CROSS JOIN (SELECT COALESCE(SUM(total), 0) AS total FROM staging.orders WHERE counts) AS orders
WHERE sales.total != orders.total
