-- The company that the console's tests look at: the schema of examples/shop, in small, with Korean comments.
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, name text NOT NULL, country text, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE products (id bigint PRIMARY KEY, sku text NOT NULL, name text NOT NULL, category text, price numeric(12,2) NOT NULL, active boolean NOT NULL, attributes jsonb, updated_at timestamptz NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL, ordered_at timestamptz NOT NULL, total numeric(14,2) NOT NULL, note text, updated_at timestamptz NOT NULL);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL, product_id bigint NOT NULL, quantity integer NOT NULL, unit_price numeric(12,2) NOT NULL);
CREATE TABLE payments (id bigint PRIMARY KEY, order_id bigint NOT NULL, method text NOT NULL, amount numeric(14,2) NOT NULL, paid_at timestamptz NOT NULL);
COMMENT ON TABLE orders IS '주문. One row an order.';
COMMENT ON COLUMN orders.total IS '할인 뒤 금액 (원). After discounts, in won.';
COMMENT ON COLUMN customers.email IS '로그인에 쓰는 이메일';
INSERT INTO products SELECT i, 'SKU-' || i, '상품 ' || i, (ARRAY['책','옷','음식','가전','문구'])[1 + i % 5], 1000 + (i * 7919 % 90000), true, jsonb_build_object('weight', i % 300), '2026-11-01Z' FROM generate_series(1, 200) i;
INSERT INTO customers SELECT i, 'user' || i || '@shop.example', (ARRAY['김서연','이도윤','박지우','최하준','정수아'])[1 + i % 5] || ' ' || i, (ARRAY['KR','KR','KR','JP','US'])[1 + i % 5], timestamptz '2026-11-01Z' - (i % 700) * interval '1 day', '2026-11-01Z' FROM generate_series(1, 1000) i;
INSERT INTO order_items SELECT i, 1 + (i - 1) / 3, 1 + (i * 31 % 200), 1 + i % 4, 1000 + ((1 + (i * 31 % 200)) * 7919 % 90000) FROM generate_series(1, 15000) i;
INSERT INTO orders SELECT o.order_id, 1 + (o.order_id * 17 % 1000), (ARRAY['new','paid','shipped','shipped','shipped','cancelled','refunded'])[1 + o.order_id % 7],
  timestamptz '2026-11-20Z' - (o.order_id % 400) * interval '1 day' - (o.order_id % 86400) * interval '1 second', o.total, CASE WHEN o.order_id % 10 = 0 THEN '문 앞에 두세요' END, '2026-11-20Z'
  FROM (SELECT order_id, sum(quantity * unit_price) AS total FROM order_items GROUP BY order_id) o;
INSERT INTO payments SELECT id, id, (ARRAY['card','transfer','point'])[1 + id % 3], total, ordered_at + interval '1 minute' FROM orders WHERE status IN ('paid','shipped');
ANALYZE;
