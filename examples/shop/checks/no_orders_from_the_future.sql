/* naru
severity: warn
description: 미래 시각의 주문은 시계 오류이다. An order from the future means that some clock is wrong.
*/
SELECT order_id, ordered_at
FROM staging.orders
WHERE ordered_at > TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
