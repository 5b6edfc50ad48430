/* naru
kind: view
description: 주문 상품 한 줄씩, 상품 분류와 금액 포함. One row per order line, with category and amount.
owner: data@shop.example
columns:
  amount: 수량 × 단가. Quantity times unit price.
checks:
  - {not_null: order_id}
  - {warn: "quantity > 0"}
*/
SELECT
  lines.id AS line_id,
  lines.order_id,
  lines.product_id,
  products.sku,
  products.category,
  lines.quantity,
  lines.unit_price,
  lines.quantity * lines.unit_price AS amount
FROM shop.order_items AS lines
LEFT JOIN shop.products AS products ON products.id = lines.product_id
