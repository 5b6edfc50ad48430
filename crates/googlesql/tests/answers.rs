//! What DataFusion's own SQL answers differently, and what marts use every day.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use naru_googlesql::Params;
use serde_json::{Value, json};
use support::{Project, same_rows};

/// Runs each query and compares its rows, in order.
async fn answers(project: &mut Project, cases: &[(&str, Value)]) {
    let mut failed = Vec::new();
    for (sql, wanted) in cases {
        let wanted: Vec<Vec<Value>> = match wanted {
            Value::Array(rows) if rows.iter().all(Value::is_array) => {
                rows.iter().map(|row| row.as_array().unwrap().clone()).collect()
            }
            single => vec![vec![single.clone()]],
        };
        match project.run(sql, &Params::default()).await {
            Ok(rows) if same_rows(&rows, &wanted, true) => {}
            other => failed.push(format!("{sql}\n  gave {other:?}\n  wanted {wanted:?}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Runs each query and wants an error that holds a text.
async fn errors(project: &mut Project, cases: &[(&str, &str)]) {
    let mut failed = Vec::new();
    for (sql, wanted) in cases {
        match project.run(sql, &Params::default()).await {
            Err(error) if error.to_lowercase().contains(&wanted.to_lowercase()) => {}
            other => failed.push(format!("{sql}\n  gave {other:?}\n  wanted an error with {wanted:?}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

// What DataFusion's own SQL answers differently without a word, one promise each; see also `refused.rs`.

#[tokio::test]
async fn integers_divide_as_floats() {
    let cases =
        [("SELECT 1/2, 7/2, -1/2", json!([[0.5, 3.5, -0.5]])), ("SELECT x/4 FROM UNNEST([1]) AS x", json!(0.25))];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn concat_of_null_is_null() {
    let cases = [
        ("SELECT CONCAT('a', NULL), 'a' || NULL", json!([[null, null]])),
        ("SELECT CONCAT('a', x) FROM UNNEST(['b', NULL]) AS x ORDER BY x", json!([[null], ["ab"]])),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn greatest_and_least_of_null_are_null() {
    let cases = [
        ("SELECT GREATEST(1, NULL), LEAST(NULL, 1), LEAST(2, 1)", json!([[null, null, 1]])),
        ("SELECT GREATEST(1, x) FROM UNNEST([2, NULL]) AS x ORDER BY x", json!([[null], [2]])),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn casts_to_int64_round_halves_away_from_zero() {
    let cases = [
        ("SELECT CAST(2.5 AS INT64), CAST(-2.5 AS INT64), CAST(3.5 AS INT64)", json!([[3, -3, 4]])),
        ("SELECT CAST(x AS INT64) FROM UNNEST([0.5, 1.49]) AS x ORDER BY x", json!([[1], [1]])),
        ("SELECT CAST(NUMERIC '2.5' AS INT64), CAST(NUMERIC '-2.5' AS INT64)", json!([[3, -3]])),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn regexp_replace_replaces_every_match() {
    let cases = [
        ("SELECT REGEXP_REPLACE('aXbXc', 'X', '-')", json!("a-b-c")),
        (r"SELECT REGEXP_REPLACE('ab12', r'([a-z]+)(\d+)', r'\2\1')", json!("12ab")),
        ("SELECT REGEXP_REPLACE(x, '나', '너') FROM UNNEST(['나루나']) AS x", json!("너루너")),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn a_week_begins_on_sunday() {
    let cases = [
        (
            "SELECT DATE_TRUNC(DATE '2024-03-15', WEEK), DATE_TRUNC(DATE '2024-03-15', WEEK(MONDAY)), DATE_TRUNC(DATE '2024-03-15', ISOWEEK)",
            json!([["2024-03-10", "2024-03-11", "2024-03-11"]]),
        ),
        (
            "SELECT CAST(TIMESTAMP_TRUNC(TIMESTAMP '2024-03-15 00:00:00Z', WEEK) AS STRING)",
            json!("2024-03-10 00:00:00+00"),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn substr_counts_from_the_end() {
    let cases = [(
        "SELECT SUBSTR('abc', -2), SUBSTR('abc', 0, 2), SUBSTR('abc', 2), SUBSTR('나루터', -1)",
        json!([["bc", "ab", "bc", "터"]]),
    )];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn log_is_natural_and_its_base_comes_second() {
    let cases = [("SELECT LOG(EXP(2)), LOG(8, 2), LOG(100, 10), LOG10(1000)", json!([[2.0, 3.0, 2.0, 3.0]]))];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn elements_are_counted_as_said_and_never_without_saying() {
    let cases = [("SELECT [1,2,3][OFFSET(1)], [1,2,3][ORDINAL(1)], [1,2,3][SAFE_OFFSET(9)]", json!([[2, 1, null]]))];
    answers(&mut Project::new(), &cases).await;
    errors(&mut Project::new(), &[("SELECT [1,2,3][1]", "OFFSET"), ("SELECT x[0] FROM (SELECT [1] AS x)", "OFFSET")])
        .await;
}

#[tokio::test]
async fn nulls_come_first_ascending_and_last_descending() {
    let cases = [
        ("SELECT x FROM UNNEST([2, NULL, 1]) AS x ORDER BY x", json!([[null], [1], [2]])),
        ("SELECT x FROM UNNEST([2, NULL, 1]) AS x ORDER BY x DESC", json!([[2], [1], [null]])),
        (
            "SELECT ARRAY_AGG(x ORDER BY x) FROM UNNEST([2, NULL, 1]) AS x WHERE x IS NOT NULL OR x IS NULL",
            json!([[[null, 1, 2]]]),
        ),
        (
            "SELECT x, ROW_NUMBER() OVER (ORDER BY x) FROM UNNEST([2, NULL, 1]) AS x ORDER BY 2",
            json!([[null, 1], [1, 2], [2, 3]]),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn arithmetic_and_sums_never_wrap() {
    let cases = [
        ("SELECT 9223372036854775807 + 1", "overflow"),
        ("SELECT x + 1 FROM UNNEST([9223372036854775807]) AS x", "overflow"),
        ("SELECT x * 2 FROM UNNEST([9223372036854775807]) AS x", "overflow"),
        ("SELECT -x - 2 FROM UNNEST([9223372036854775807]) AS x", "overflow"),
        ("SELECT -x FROM UNNEST([-9223372036854775808]) AS x", "overflow"),
        ("SELECT SUM(x) FROM UNNEST([9223372036854775807, 1]) AS x", "overflow"),
        ("SELECT SUM(x) OVER () FROM UNNEST([9223372036854775807, 1]) AS x", "overflow"),
    ];
    errors(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn a_version_in_the_past_is_refused_not_ignored() {
    let mut project = Project::new();
    project.run("CREATE TABLE t (a INT64)", &Params::default()).await.unwrap();
    let cases = [("SELECT a FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01 00:00:00Z'", "SYSTEM_TIME")];
    errors(&mut project, &cases).await;
}

#[tokio::test]
async fn a_day_in_seoul_begins_at_midnight_in_seoul() {
    let cases = [
        ("SELECT DATE(TIMESTAMP '2024-03-01 20:00:00Z', 'Asia/Seoul')", json!("2024-03-02")),
        (
            "SELECT DATE(x, 'Asia/Seoul'), COUNT(*) FROM UNNEST([TIMESTAMP '2024-03-01 14:59:59Z', TIMESTAMP '2024-03-01 15:00:00Z']) AS x GROUP BY 1 ORDER BY 1",
            json!([["2024-03-01", 1], ["2024-03-02", 1]]),
        ),
        (
            "SELECT CAST(TIMESTAMP_TRUNC(TIMESTAMP '2024-03-01 20:00:00Z', DAY, 'Asia/Seoul') AS STRING)",
            json!("2024-03-01 15:00:00+00"),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
    let refused = [
        ("SELECT TIMESTAMP '2024-03-01 20:00:00Z' AT TIME ZONE 'Asia/Seoul'", "AT TIME ZONE"),
        ("SELECT DATE_BIN(INTERVAL 1 DAY, TIMESTAMP '2024-03-01 20:00:00Z')", "DATE_BIN"),
    ];
    errors(&mut Project::new(), &refused).await;
}

#[tokio::test]
async fn a_null_in_one_part_of_a_union_takes_the_others_type() {
    let cases = [
        ("SELECT 'a' AS x UNION ALL SELECT NULL ORDER BY x", json!([[null], ["a"]])),
        (
            "SELECT NULL AS x, 1 AS n UNION ALL SELECT NULL, 2 UNION ALL SELECT DATE '2024-02-29', 3 ORDER BY n",
            json!([[null, 1], [null, 2], ["2024-02-29", 3]]),
        ),
        ("SELECT x FROM (SELECT NULL AS x UNION DISTINCT SELECT [1][OFFSET(0)]) ORDER BY x", json!([[null], [1]])),
        (
            "SELECT ARRAY_LENGTH(x) FROM (SELECT [1, 2] AS x UNION ALL (SELECT NULL LIMIT 1)) ORDER BY 1",
            json!([[null], [2]]),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
    errors(&mut Project::new(), &[("SELECT 'a' AS x UNION ALL SELECT 1", "no type in common")]).await;
}

#[tokio::test]
async fn operators_and_literals_are_googlesqls() {
    let cases = [
        ("SELECT SUM(x) FROM UNNEST([9223372036854775807, -9223372036854775807, 5]) AS x", json!(5)),
        ("SELECT ROUND(2.5), ROUND(-2.5), ROUND(NUMERIC '2.345', 2)", json!([[3.0, -3.0, 2.35]])),
        ("SELECT MOD(-7, 3), DIV(-7, 2)", json!([[-1, -3]])),
        ("SELECT CAST('nan' AS FLOAT64) = CAST('nan' AS FLOAT64), 0.0 = -0.0", json!([[false, true]])),
        ("SELECT AVG(x), SUM(x) FROM UNNEST([1, 2]) AS x", json!([[1.5, 3]])),
        (
            "SELECT SAFE_DIVIDE(1, 0), SAFE_ADD(9223372036854775807, 1), SAFE_CAST('x' AS INT64), SAFE.SUBSTR('abc', 1, -1)",
            json!([[null, null, null, null]]),
        ),
        ("SELECT 1 << 2 & 6", json!(4)),
        ("SELECT -9223372036854775808", json!(-9_223_372_036_854_775_808_i64)),
        (r#"SELECT 'a\x41\n', r'\n', "it's", '''x'y'''"#, json!([["aA\n", "\\n", "it's", "x'y"]])),
        ("SELECT 3 NOT IN (SELECT x FROM UNNEST([1, NULL]) AS x)", json!(null)),
        ("SELECT a FROM UNNEST([1, 2]) AS a WHERE a NOT IN (SELECT x FROM UNNEST([1, NULL]) AS x)", json!([])),
        ("SELECT a FROM UNNEST([1, 2]) AS a WHERE a IN (SELECT x FROM UNNEST([1, NULL]) AS x)", json!([[1]])),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn errors_are_errors_not_values() {
    let cases = [
        ("SELECT 1/0", "division by zero"),
        ("SELECT 9223372036854775807 + 1", "overflow"),
        ("SELECT 9223372036854775807 * 2", "overflow"),
        ("SELECT SUM(x) FROM UNNEST([9223372036854775807, 1]) AS x", "overflow"),
        ("SELECT CAST('x' AS INT64)", "not an int64"),
        ("SELECT [1,2][OFFSET(5)]", "out of bounds"),
        ("SELECT (SELECT x FROM UNNEST([1, 2]) AS x)", "more than one row"),
        ("SELECT LN(0)", "logarithm"),
        ("SELECT SQRT(-1)", "negative"),
        ("SELECT DATE(2024, 2, 30)", "calendar"),
        ("SELECT 1e308 * 10", "overflow"),
    ];
    errors(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn instants_meet_the_calendar_in_the_named_zone() {
    let cases = [
        ("SELECT DATE(TIMESTAMP '2024-03-01 20:00:00Z', 'Asia/Seoul')", json!("2024-03-02")),
        ("SELECT DATE(TIMESTAMP '2024-03-01 20:00:00Z')", json!("2024-03-01")),
        ("SELECT EXTRACT(HOUR FROM TIMESTAMP '2024-03-01 20:00:00Z' AT TIME ZONE 'Asia/Seoul')", json!(5)),
        (
            "SELECT FORMAT_TIMESTAMP('%F %T %Ez', TIMESTAMP_TRUNC(TIMESTAMP '2024-03-01 20:00:00Z', DAY, 'Asia/Seoul'), 'Asia/Seoul')",
            json!("2024-03-02 00:00:00 +09:00"),
        ),
        ("SELECT CAST(TIMESTAMP '2024-03-02 05:00:00 Asia/Seoul' AS STRING)", json!("2024-03-01 20:00:00+00")),
        ("SELECT UNIX_SECONDS(TIMESTAMP('2024-03-02 05:00:00', 'Asia/Seoul'))", json!(1_709_323_200)),
        (
            "SELECT DATETIME(TIMESTAMP '2024-03-01 20:00:00Z', 'Asia/Seoul') = DATETIME '2024-03-02 05:00:00'",
            json!(true),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
    let cases = [
        ("SELECT DATE(TIMESTAMP '2024-03-01 20:00:00Z')", json!("2024-03-02")),
        ("SELECT CAST(TIMESTAMP '2024-03-01 20:00:00Z' AS STRING)", json!("2024-03-02 05:00:00+09")),
        ("SELECT EXTRACT(DATE FROM TIMESTAMP '2024-03-01 20:00:00Z')", json!("2024-03-02")),
        ("SELECT TIMESTAMP '2024-03-02 05:00:00' = TIMESTAMP '2024-03-01 20:00:00Z'", json!(true)),
    ];
    answers(&mut Project::in_zone("Asia/Seoul"), &cases).await;
}

async fn shop() -> Project {
    let mut project = Project::new();
    let setup =
        "CREATE TABLE ds.orders (order_id INT64, customer STRING, amount NUMERIC, at TIMESTAMP, tags ARRAY<STRING>);
        INSERT INTO ds.orders VALUES
          (1, 'kim', 10.5, '2024-03-01 20:00:00Z', ['a', 'b']),
          (2, 'lee', 20, '2024-03-02 01:00:00Z', []),
          (3, 'kim', 5.25, '2024-03-02 16:00:00Z', ['b']),
          (4, NULL, NULL, NULL, NULL);
        CREATE TABLE customers (customer STRING, city STRING);
        INSERT INTO customers VALUES ('kim', 'Seoul'), ('park', 'Busan');";
    project.run(setup, &Params::default()).await.unwrap();
    project
}

#[tokio::test]
async fn marts_group_join_and_rank() {
    let cases = [
        (
            "SELECT DATE(at, 'Asia/Seoul') AS day, COUNT(*) AS n, SUM(amount) AS total FROM `p.ds.orders` WHERE at IS NOT NULL GROUP BY day ORDER BY day",
            json!([["2024-03-02", 2, 30.5], ["2024-03-03", 1, 5.25]]),
        ),
        (
            "SELECT customer, SUM(amount) s FROM ds.orders GROUP BY 1 HAVING s > 10 ORDER BY s DESC, 1",
            json!([["lee", 20], ["kim", 15.75]]),
        ),
        (
            "SELECT o.order_id, c.city FROM ds.orders o LEFT JOIN customers c USING (customer) ORDER BY order_id",
            json!([[1, "Seoul"], [2, null], [3, "Seoul"], [4, null]]),
        ),
        (
            "SELECT customer, c.city FROM orders FULL JOIN customers c USING (customer) WHERE order_id IS NULL",
            json!([["park", "Busan"]]),
        ),
        (
            "SELECT order_id FROM ds.orders QUALIFY ROW_NUMBER() OVER (PARTITION BY customer ORDER BY at DESC) = 1 ORDER BY order_id",
            json!([[2], [3], [4]]),
        ),
        (
            "SELECT order_id, tag, pos FROM orders, UNNEST(tags) AS tag WITH OFFSET AS pos ORDER BY 1, 3",
            json!([[1, "a", 0], [1, "b", 1], [3, "b", 0]]),
        ),
        (
            "SELECT order_id, tag FROM orders o LEFT JOIN UNNEST(o.tags) AS tag ORDER BY 1, 2",
            json!([[1, "a"], [1, "b"], [2, null], [3, "b"], [4, null]]),
        ),
        (
            "SELECT * EXCEPT (tags, at), amount * 2 AS twice FROM orders WHERE order_id = 1",
            json!([[1, "kim", 10.5, 21]]),
        ),
        (
            "SELECT * REPLACE (UPPER(customer) AS customer) FROM customers ORDER BY 1",
            json!([["KIM", "Seoul"], ["PARK", "Busan"]]),
        ),
    ];
    answers(&mut shop().await, &cases).await;
}

#[tokio::test]
async fn marts_aggregate_and_correlate() {
    let cases = [
        (
            "SELECT COUNTIF(amount > 6), COUNT(DISTINCT customer), LOGICAL_OR(amount > 15), ANY_VALUE(customer HAVING MAX amount) FROM orders",
            json!([[2, 2, true, "lee"]]),
        ),
        (
            "SELECT STRING_AGG(customer, '|' ORDER BY order_id), ARRAY_AGG(order_id ORDER BY order_id DESC LIMIT 2) FROM orders",
            json!([["kim|lee|kim", [4, 3]]]),
        ),
        (
            "SELECT c.customer, (SELECT COUNT(*) FROM orders o WHERE o.customer = c.customer) AS n FROM customers c ORDER BY 1",
            json!([["kim", 2], ["park", 0]]),
        ),
        (
            "SELECT customer FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.customer)",
            json!([["kim"]]),
        ),
        (
            "SELECT customer FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.customer)",
            json!([["park"]]),
        ),
        (
            "SELECT customer, SUM(amount) AS s FROM orders GROUP BY ROLLUP(customer) ORDER BY s, customer",
            json!([[null, null], ["kim", 15.75], ["lee", 20], [null, 35.75]]),
        ),
        ("SELECT customer, COUNT(*) n FROM orders GROUP BY ALL ORDER BY 1", json!([[null, 1], ["kim", 2], ["lee", 1]])),
        (
            "SELECT order_id, SUM(amount) OVER (ORDER BY order_id) AS running, LAG(order_id) OVER w FROM orders WINDOW w AS (ORDER BY order_id) ORDER BY 1",
            json!([[1, 10.5, null], [2, 30.5, 1], [3, 35.75, 2], [4, 35.75, 3]]),
        ),
        (
            "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 4) SELECT SUM(x) FROM n",
            json!(10),
        ),
        (
            "SELECT IF(amount > 6, 'big', 'small') AS size, COUNT(*) FROM orders GROUP BY size ORDER BY size",
            json!([["big", 2], ["small", 2]]),
        ),
        ("SELECT APPROX_QUANTILES(x, 2) FROM UNNEST([5, 1, 3]) AS x", json!([[[1, 3, 5]]])),
        ("SELECT ARRAY(SELECT x * 2 FROM UNNEST([1, 2]) AS x ORDER BY x DESC)", json!([[[4, 2]]])),
        (
            "SELECT ROW_NUMBER() OVER (ORDER BY SUM(amount) DESC) AS place, customer FROM orders GROUP BY customer ORDER BY place",
            json!([[1, "lee"], [2, "kim"], [3, null]]),
        ),
        (
            "SELECT FIRST_VALUE(customer IGNORE NULLS) OVER (ORDER BY order_id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM orders LIMIT 1",
            json!("kim"),
        ),
        (
            "FROM orders |> WHERE amount > 6 |> EXTEND amount * 2 AS twice |> SELECT order_id, twice |> ORDER BY order_id",
            json!([[1, 21], [2, 40]]),
        ),
    ];
    answers(&mut shop().await, &cases).await;
}

#[tokio::test]
async fn dates_texts_and_json_are_read_and_written() {
    let cases = [
        (
            "SELECT DATE_DIFF(DATE '2024-03-15', DATE '2024-02-29', MONTH), DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH), DATE_SUB(DATE '2024-03-01', INTERVAL 1 DAY)",
            json!([[1, "2024-02-29", "2024-02-29"]]),
        ),
        (
            "SELECT EXTRACT(DAYOFWEEK FROM DATE '2024-03-17'), EXTRACT(ISOWEEK FROM DATE '2024-12-30'), EXTRACT(ISOYEAR FROM DATE '2024-12-30'), EXTRACT(QUARTER FROM DATE '2024-12-30')",
            json!([[1, 1, 2025, 4]]),
        ),
        (
            "SELECT FORMAT_DATE('%Y/%m/%d %a %B', DATE '2024-03-05'), PARSE_DATE('%d %b %Y', '5 Mar 2024'), LAST_DAY(DATE '2024-02-01')",
            json!([["2024/03/05 Tue March", "2024-03-05", "2024-02-29"]]),
        ),
        (
            "SELECT GENERATE_DATE_ARRAY('2024-01-30', '2024-02-02')",
            json!([[["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02"]]]),
        ),
        (
            "SELECT d FROM UNNEST(GENERATE_DATE_ARRAY(DATE '2024-01-31', DATE '2024-03-31', INTERVAL 1 MONTH)) AS d ORDER BY d",
            json!([["2024-01-31"], ["2024-02-29"], ["2024-03-31"]]),
        ),
        (
            "SELECT LENGTH('나루'), BYTE_LENGTH('나루'), UPPER('é'), LPAD('7', 3, '0'), SPLIT('a,b'), REVERSE('abc'), INITCAP('hello world')",
            json!([[2, 6, "É", "007", ["a", "b"], "cba", "Hello World"]]),
        ),
        (
            "SELECT REGEXP_EXTRACT('a1b22', r'[a-z](\\d+)$'), REGEXP_CONTAINS('abc', 'b'), REGEXP_EXTRACT_ALL('a1b22', r'\\d+')",
            json!([["22", true, ["1", "22"]]]),
        ),
        (
            r#"SELECT JSON_VALUE('{"a":{"b":[1,2]}}', '$.a.b[1]'), JSON_QUERY('{"a":{"b":1}}', '$.a'), TO_JSON_STRING(STRUCT(1 AS x, 'q' AS y, [1,2] AS z))"#,
            json!([["2", "{\"b\":1}", "{\"x\":1,\"y\":\"q\",\"z\":[1,2]}"]]),
        ),
        ("SELECT FORMAT('%05d|%s|%.2f|%t', 42, 'x', 1.239, DATE '2024-01-01')", json!("00042|x|1.24|2024-01-01")),
        (
            "SELECT TO_HEX(MD5('a')), TO_HEX(SHA256('')), TO_BASE64(b'abc')",
            json!([[
                "0cc175b9c0f1b6a831c399e269772661",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "YWJj"
            ]]),
        ),
        (
            "SELECT CAST(NUMERIC '1.10' AS STRING), CAST(1e20 AS STRING), CAST(TRUE AS STRING), NUMERIC '0.1' + NUMERIC '0.2' = NUMERIC '0.3'",
            json!([["1.1", "1e+20", "true", true]]),
        ),
        (
            "SELECT SUM(CAST(x AS BIGNUMERIC)) FROM UNNEST(['1e-38', '12345678901234567890123456789012345678']) AS x",
            json!("12345678901234567890123456789012345678.00000000000000000000000000000000000001"),
        ),
        (
            "SELECT NULLIF(1, 1), IFNULL(NULL, 3), COALESCE(NULL, NULL, 2.5), ARRAY_LENGTH(GENERATE_ARRAY(1, 10, 3))",
            json!([[null, 3, 2.5, 4]]),
        ),
        (
            "SELECT TIMESTAMP_DIFF(TIMESTAMP '2024-03-02 00:00:00Z', TIMESTAMP '2024-03-01 12:30:00Z', HOUR), TIMESTAMP_MILLIS(0) = TIMESTAMP_SECONDS(0)",
            json!([[11, true]]),
        ),
        ("SELECT DATETIME_DIFF(DATETIME '2024-03-02 00:00:00', DATETIME '2024-03-01 23:59:59', DAY)", json!(1)),
        (
            "SELECT PARSE_TIMESTAMP('%Y-%m-%d %H:%M:%S', '2024-03-02 05:00:00', 'Asia/Seoul') = TIMESTAMP '2024-03-01 20:00:00Z'",
            json!(true),
        ),
        (
            "SELECT 'a' LIKE 'A', 'abc' LIKE 'a%', 2 BETWEEN 1 AND 3, 2 IN UNNEST([1, 2]), 5 IN (1, NULL)",
            json!([[false, true, true, true, null]]),
        ),
        ("SELECT (SELECT AS STRUCT 1 AS a, 'x' AS b).b, STRUCT(1, 2) = (1, 2)", json!([["x", true]])),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn sums_and_means_keep_their_types() {
    let mut project = Project::new();
    for (sql, wanted) in [
        ("SELECT SUM(1)", "INT64"),
        ("SELECT AVG(1)", "FLOAT64"),
        ("SELECT SUM(NUMERIC '1')", "NUMERIC"),
        ("SELECT AVG(NUMERIC '1')", "NUMERIC"),
        ("SELECT 1 + NUMERIC '1'", "NUMERIC"),
        ("SELECT NUMERIC '1' / 3", "NUMERIC"),
        ("SELECT 1 / 3", "FLOAT64"),
        ("SELECT ROUND(1)", "FLOAT64"),
        ("SELECT [STRUCT(1 AS a)]", "ARRAY<STRUCT<a INT64>>"),
        ("SELECT JSON '{}'", "JSON"),
        ("SELECT CURRENT_TIMESTAMP()", "TIMESTAMP"),
        ("SELECT CURRENT_DATE('Asia/Seoul')", "DATE"),
        ("SELECT DATE '2024-01-01' + 1", "DATE"),
        ("SELECT ROW_NUMBER() OVER ()", "INT64"),
        ("SELECT TIME '10:00:00'", "TIME"),
        ("SELECT INTERVAL 5 DAY", "INTERVAL"),
    ] {
        let parsed = &naru_googlesql::parse(sql).unwrap()[0];
        let batch = project.query(parsed, &Params::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(naru_googlesql::sql_type(batch.schema().field(0), project.sql.options()), wanted, "{sql}");
    }
    project.run("SELECT 1", &Params::default()).await.unwrap();
}

#[tokio::test]
async fn corners_of_names_and_nulls_have_one_answer() {
    let cases = [
        // The alias of the select list groups and orders before the column of that name.
        (
            "SELECT DATE_TRUNC(d, MONTH) AS d, COUNT(*) FROM UNNEST([DATE '2024-01-05', DATE '2024-01-09']) AS d GROUP BY d",
            json!([["2024-01-01", 2]]),
        ),
        ("SELECT -x AS x FROM UNNEST([1, 2, 3]) AS x ORDER BY x", json!([[-3], [-2], [-1]])),
        (
            "SELECT COUNT(*), COUNT(x), SUM(x), MAX(x) FROM UNNEST(CAST([] AS ARRAY<INT64>)) AS x",
            json!([[0, 0, null, null]]),
        ),
        (
            "SELECT x FROM UNNEST([1, 2, 3]) AS x WHERE x > (SELECT AVG(y) FROM UNNEST([1, 2]) AS y) ORDER BY x",
            json!([[2], [3]]),
        ),
        (
            "SELECT a.k, (SELECT SUM(b.v) FROM (SELECT 1 AS k, 5 AS v UNION ALL SELECT 1, 6) AS b WHERE b.k = a.k) AS s FROM (SELECT 1 AS k UNION ALL SELECT 2) AS a ORDER BY k",
            json!([[1, 11], [2, null]]),
        ),
        (
            "SELECT a.k, (SELECT COUNT(*) + 10 FROM (SELECT 1 AS k) AS b WHERE b.k = a.k) AS s FROM (SELECT 1 AS k UNION ALL SELECT 2) AS a ORDER BY k",
            json!([[1, 11], [2, 10]]),
        ),
        ("SELECT 1 AS a, 2 AS b EXCEPT DISTINCT SELECT 1, 3", json!([[1, 2]])),
        ("SELECT CAST(NULL AS INT64) AS a INTERSECT DISTINCT SELECT NULL", json!([[null]])),
        ("SELECT 1 AS a UNION ALL SELECT 2.5 ORDER BY a DESC", json!([[2.5], [1]])),
        ("SELECT t FROM (SELECT 1 AS a, 'x' AS b) AS t", json!([[[1, "x"]]])),
        ("SELECT s.* FROM (SELECT STRUCT(1 AS a, 2 AS b) AS s)", json!([[1, 2]])),
        ("SELECT * FROM UNNEST([STRUCT(1 AS a, 2 AS b)])", json!([[1, 2]])),
        (
            "SELECT l.x, r.x AS y FROM (SELECT 1 AS x) AS l LEFT JOIN (SELECT 2 AS x) AS r ON l.x = r.x AND r.x > 0",
            json!([[1, null]]),
        ),
        (
            "SELECT x, COUNT(*) OVER (PARTITION BY MOD(x, 2)) FROM UNNEST([1, 2, 3]) AS x ORDER BY x",
            json!([[1, 2], [2, 1], [3, 2]]),
        ),
        (
            "SELECT x, SUM(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM UNNEST([1, 2, 3]) AS x ORDER BY x",
            json!([[1, 1], [2, 3], [3, 5]]),
        ),
        ("SELECT x, LAST_VALUE(x) OVER (ORDER BY x) FROM UNNEST([1, 2]) AS x ORDER BY x", json!([[1, 1], [2, 2]])),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn corners_of_values_have_one_answer() {
    let cases = [
        (
            "SELECT x, PERCENTILE_CONT(x, 0.5) OVER () FROM UNNEST([1, 2, 4]) AS x ORDER BY x",
            json!([[1, 2.0], [2, 2.0], [4, 2.0]]),
        ),
        ("SELECT CASE WHEN x = 0 THEN 0 ELSE DIV(10, x) END FROM UNNEST([0, 5]) AS x ORDER BY 1", json!([[0], [2]])),
        ("SELECT IF(FALSE, 1/0, 2)", json!(2.0)),
        ("SELECT COALESCE(1, DIV(1, 0))", json!(1)),
        ("SELECT NULL IN (1, 2), 1 IN (SELECT 1), 'x' NOT IN ('y')", json!([[null, true, true]])),
        ("SELECT MAX(x), MIN(x) FROM UNNEST([CAST('nan' AS FLOAT64), 1.0]) AS x", json!([["NaN", "NaN"]])),
        (
            "SELECT x FROM UNNEST([CAST('nan' AS FLOAT64), -1.0, CAST('-inf' AS FLOAT64)]) AS x ORDER BY x",
            json!([["NaN"], ["-inf"], [-1.0]]),
        ),
        (
            "SELECT DATE '2024-01-31' < '2024-02-01', TIMESTAMP '2024-01-01 00:00:00Z' > '2023-12-31 23:00:00'",
            json!([[true, true]]),
        ),
        ("SELECT COUNT(DISTINCT x), SUM(DISTINCT x) FROM UNNEST([1, 1, 2, NULL]) AS x", json!([[2, 3]])),
        ("SELECT STRING_AGG(DISTINCT x ORDER BY x DESC) FROM UNNEST(['a', 'b', 'a']) AS x", json!("b,a")),
        ("SELECT AVG(x) FROM UNNEST([NUMERIC '1', NUMERIC '2', NULL]) AS x", json!("1.5")),
        ("SELECT SAFE_CAST('2024-02-30' AS DATE), SAFE.PARSE_DATE('%Y', 'x')", json!([[null, null]])),
        (
            "SELECT k, v FROM (SELECT 1 AS k, [3, 4] AS vs) CROSS JOIN UNNEST(vs) AS v ORDER BY v",
            json!([[1, 3], [1, 4]]),
        ),
        (
            "SELECT REGEXP_REPLACE('a.b', r'\\.', ''), REPLACE('aaa', 'a', 'b'), 'a' || 'b' || 'c'",
            json!([["ab", "bbb", "abc"]]),
        ),
        (
            "SELECT EXTRACT(WEEK FROM DATE '2023-01-01'), EXTRACT(WEEK(MONDAY) FROM DATE '2023-01-01'), EXTRACT(DAYOFYEAR FROM DATE '2024-12-31')",
            json!([[1, 0, 366]]),
        ),
        (
            "SELECT DATE_DIFF(DATE '2024-03-10', DATE '2024-03-09', WEEK), DATE_DIFF(DATE '2024-03-10', DATE '2024-03-09', ISOWEEK)",
            json!([[1, 0]]),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
}

/// -0.0 and 0.0 are one value and all NaN are one, wherever rows are put together.
#[tokio::test]
async fn floats_are_put_together_as_googlesql_does() {
    let x = "UNNEST([0.0, -0.0, CAST('nan' AS FLOAT64), -CAST('nan' AS FLOAT64), 1.5, NULL, NULL]) AS x";
    let grouped = json!([[null, 2], ["NaN", 2], [0.0, 2], [1.5, 1]]);
    let distinct = json!([[null], ["NaN"], [0.0], [1.5]]);
    let cases = [
        (format!("SELECT x, COUNT(*) FROM {x} GROUP BY x ORDER BY x"), grouped.clone()),
        (format!("SELECT x, COUNT(*) FROM {x} GROUP BY ALL ORDER BY 1"), grouped.clone()),
        (format!("SELECT x * 2, COUNT(*) FROM {x} GROUP BY 1 ORDER BY 1"), json!([[null, 2], ["NaN", 2], [0.0, 2], [3.0, 1]])),
        (format!("SELECT COUNT(*) FROM {x} GROUP BY x * 2 HAVING x * 2 = 0"), json!([[2]])),
        (format!("SELECT STRUCT(x).x, COUNT(*) FROM {x} GROUP BY STRUCT(x) ORDER BY 1"), grouped.clone()),
        (format!("SELECT x, SUM(x), COUNT(*) OVER () FROM {x} WHERE x < 9 GROUP BY x ORDER BY x"), json!([[0.0, 0.0, 2], [1.5, 1.5, 2]])),
        (format!("SELECT DISTINCT x FROM {x} ORDER BY x"), distinct.clone()),
        (format!("SELECT * FROM (SELECT x FROM {x} UNION DISTINCT SELECT -0.0) ORDER BY 1"), distinct.clone()),
        (format!("SELECT x FROM {x} INTERSECT DISTINCT SELECT -0.0"), json!([[0.0]])),
        (format!("SELECT * FROM (SELECT x FROM {x} EXCEPT DISTINCT SELECT -0.0) ORDER BY 1"), json!([[null], ["NaN"], [1.5]])),
        (format!("SELECT COUNT(DISTINCT x), ARRAY_LENGTH(ARRAY_AGG(DISTINCT x IGNORE NULLS)) FROM {x}"), json!([[3, 3]])),
        (
            format!("SELECT x, COUNT(*) OVER (PARTITION BY x) FROM {x} WHERE x IS NULL OR x = 0 ORDER BY 1"),
            json!([[null, 2], [null, 2], [0.0, 2], [0.0, 2]]),
        ),
        (format!("SELECT COUNT(*) FROM {x} JOIN UNNEST([0.0, CAST('nan' AS FLOAT64)]) AS y ON x = y"), json!([[2]])),
        (
            "SELECT 0.0 IS DISTINCT FROM -0.0, CAST('nan' AS FLOAT64) IS DISTINCT FROM -CAST('nan' AS FLOAT64), NULL IS NOT DISTINCT FROM 0.0".to_owned(),
            json!([[false, false, false]]),
        ),
    ];
    let cases: Vec<(&str, Value)> = cases.iter().map(|(sql, rows)| (sql.as_str(), rows.clone())).collect();
    answers(&mut Project::new(), &cases).await;
}

/// An array that stands alone is read once, not held beside every row: twenty thousand rows by as many elements would
/// be gigabytes.
#[tokio::test]
async fn arrays_that_stand_alone_are_not_held_beside_each_row() {
    let cases = [
        (
            "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 20000)) AS a, UNNEST(GENERATE_ARRAY(1, 20000)) AS b WHERE a = b",
            json!(20000),
        ),
        (
            "SELECT a, b, o FROM UNNEST([1, 2]) AS a CROSS JOIN UNNEST(['x', 'y']) AS b WITH OFFSET AS o ORDER BY a, b",
            json!([[1, "x", 0], [1, "y", 1], [2, "x", 0], [2, "y", 1]]),
        ),
        (
            "SELECT a, x FROM UNNEST([1, 2]) AS a, UNNEST([a, 10 * a]) AS x ORDER BY a, x",
            json!([[1, 1], [1, 10], [2, 2], [2, 20]]),
        ),
        ("SELECT COUNT(*) FROM UNNEST([1, 2]) AS a, UNNEST(ARRAY<INT64>[]) AS b", json!(0)),
        (
            "SELECT a, b FROM UNNEST([1, 2]) AS a LEFT JOIN UNNEST(ARRAY<INT64>[]) AS b ORDER BY a",
            json!([[1, null], [2, null]]),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
}

/// NUMERIC(p, s) rounds halves away from zero, as PostgreSQL does too; nothing is cut and nothing overflows silently.
#[tokio::test]
async fn a_type_with_parameters_rounds_or_refuses() {
    let mut project = Project::new();
    let cases = [
        ("SELECT CAST(1.005 AS NUMERIC(10, 2)), CAST(-1.005 AS NUMERIC(10, 2))", json!([["1.01", "-1.01"]])),
        ("SELECT CAST(x AS NUMERIC(3, 1)) FROM UNNEST([99.94, NULL]) AS x ORDER BY x", json!([[null], ["99.9"]])),
        ("SELECT CAST('12.5' AS NUMERIC(2)), CAST(7 AS BIGNUMERIC(20, 15))", json!([["13", "7"]])),
        ("SELECT CAST('나루터' AS STRING(3)), SAFE_CAST('나루터!' AS STRING(3))", json!([["나루터", null]])),
        ("SELECT SAFE_CAST(123.4 AS NUMERIC(3, 1)), SAFE_CAST(b'abc' AS BYTES(2)) IS NULL", json!([[null, true]])),
    ];
    answers(&mut project, &cases).await;
    let cases = [
        ("SELECT CAST(999.95 AS NUMERIC(4, 1))", "3 digits before the point"),
        ("SELECT CAST(x AS STRING(2)) FROM UNNEST(['abc']) AS x", "more than 2 characters"),
        ("SELECT CAST('1e30' AS BIGNUMERIC(20, 2))", "18 digits before the point"),
    ];
    errors(&mut project, &cases).await;
}

#[tokio::test]
async fn structs_meet_field_by_field_and_null_takes_the_others_type() {
    let cases = [
        (
            "SELECT id, name, tags FROM UNNEST([STRUCT(1 AS id, 'a' AS name, ['x'] AS tags), (2, NULL, []), (NULL, 'c', NULL)]) ORDER BY id",
            json!([[null, "c", null], [1, "a", ["x"]], [2, null, []]]),
        ),
        (
            "SELECT s.a, s.b FROM UNNEST([STRUCT(NULL AS a, 1 AS b), STRUCT('x', 2.5), NULL]) AS s ORDER BY b",
            json!([[null, null], [null, 1.0], ["x", 2.5]]),
        ),
        ("SELECT CAST(STRUCT(NULL, []) AS STRUCT<a STRING, b ARRAY<DATE>>).a", json!(null)),
        ("SELECT IF(FALSE, STRUCT(1 AS n), STRUCT(NUMERIC '1.5')).n", json!("1.5")),
    ];
    let mut project = Project::new();
    answers(&mut project, &cases).await;
    errors(&mut project, &[("SELECT [STRUCT(1 AS a), STRUCT('x')]", "field \"a\" of the STRUCTs: INT64 and STRING")])
        .await;
}

#[tokio::test]
async fn pivot_makes_a_column_of_each_value() {
    let sales = "(SELECT 'kale' AS product, 'q1' AS q, 51 AS n, 2020 AS y UNION ALL SELECT 'kale', 'q2', 23, 2020 UNION ALL SELECT 'kale', 'q1', 9, 2021 UNION ALL SELECT 'apple', NULL, 7, 2020)";
    let cases = [
        (
            format!("SELECT * FROM {sales} PIVOT(SUM(n) FOR q IN ('q1', 'q2' AS second, NULL)) ORDER BY product, y"),
            json!([["apple", 2020, null, null, 7], ["kale", 2020, 51, 23, null], ["kale", 2021, 9, null, null]]),
        ),
        (
            format!("SELECT product, total_q1, n_q1, total_q2, n_q2 FROM (SELECT product, q, n FROM {sales}) PIVOT(SUM(n) AS total, COUNT(*) AS n FOR q IN ('q1', 'q2')) ORDER BY product"),
            json!([["apple", null, 0, null, 0], ["kale", 60, 2, 23, 1]]),
        ),
        (
            format!("SELECT _2020, _2021 FROM (SELECT n, y FROM {sales}) PIVOT(SUM(n) FOR y IN (2020, 2021))"),
            json!([[81, 9]]),
        ),
        (
            "SELECT p._2024_01_31, p.minus_1 FROM (SELECT DATE '2024-01-31' AS d, 4 AS n) PIVOT(MAX(n) FOR d IN (DATE '2024-01-31', DATE '2024-02-01' AS minus_1)) AS p".to_owned(),
            json!([[4, null]]),
        ),
    ];
    let cases: Vec<(&str, Value)> = cases.iter().map(|(sql, rows)| (sql.as_str(), rows.clone())).collect();
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn the_most_frequent_values_come_with_their_counts() {
    let cases = [
        (
            "SELECT t.value, t.count FROM UNNEST((SELECT APPROX_TOP_COUNT(x, 2) FROM UNNEST(['a', 'b', 'b', NULL, NULL, NULL]) AS x)) AS t WITH OFFSET AS at ORDER BY at",
            json!([[null, 3], ["b", 2]]),
        ),
        (
            "SELECT k, APPROX_TOP_COUNT(x, 1)[OFFSET(0)].value FROM UNNEST([STRUCT(1 AS k, 5 AS x), (1, 5), (1, 6), (2, 7)]) GROUP BY k ORDER BY k",
            json!([[1, 5], [2, 7]]),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
}

/// TO_JSON_STRING writes an exact number that is not whole, or too large, as a string; TO_JSON as a number.
#[tokio::test]
async fn exact_numbers_in_json_keep_their_digits() {
    let cases = [(
        "SELECT TO_JSON_STRING(NUMERIC '1.10'), TO_JSON_STRING([NUMERIC '-7']), TO_JSON_STRING(NUMERIC '9007199254740993'), TO_JSON_STRING(TO_JSON(NUMERIC '1.1'))",
        json!([["\"1.1\"", "[-7]", "\"9007199254740993\"", "1.1"]]),
    )];
    answers(&mut Project::new(), &cases).await;
}

/// Two aggregates of distinct values keep each its own order.
#[tokio::test]
async fn distinct_values_come_in_the_order_that_each_aggregate_asks_for() {
    let cases = [
        (
            "SELECT ARRAY_AGG(DISTINCT x ORDER BY x DESC), ARRAY_AGG(DISTINCT x ORDER BY x), ARRAY_AGG(x ORDER BY x DESC), STRING_AGG(DISTINCT CAST(x AS STRING) ORDER BY CAST(x AS STRING) LIMIT 2), STRING_AGG(DISTINCT CAST(x AS STRING), '-' ORDER BY CAST(x AS STRING) DESC) FROM UNNEST([3, 1, 2, 2, NULL]) AS x",
            json!([[[3, 2, 1, null], [null, 1, 2, 3], [3, 2, 2, 1, null], "1,2", "3-2-1"]]),
        ),
        ("SELECT ARRAY_AGG(DISTINCT x IGNORE NULLS ORDER BY x) FROM UNNEST([STRUCT(NULL AS x)])", json!([[null]])),
    ];
    answers(&mut Project::new(), &cases).await;
}

#[tokio::test]
async fn exists_is_a_value_anywhere() {
    let cases = [
        (
            "SELECT n, EXISTS(SELECT 1 FROM (SELECT 2 AS k UNION ALL SELECT 2) AS t WHERE t.k = n), NOT EXISTS(SELECT 1 FROM (SELECT 2 AS k UNION ALL SELECT 2) AS t WHERE t.k = n), IF(EXISTS(SELECT 1 FROM UNNEST([1]) AS y WHERE y > 1), 'some', 'none') FROM UNNEST([1, 2]) AS n ORDER BY n",
            json!([[1, false, true, "none"], [2, true, false, "none"]]),
        ),
        ("SELECT EXISTS(SELECT 1 FROM UNNEST([1]) AS x WHERE x > 1), EXISTS(SELECT NULL)", json!([[false, true]])),
        (
            "SELECT SUM(IF(EXISTS(SELECT 1 FROM (SELECT 2 AS k UNION ALL SELECT 2) AS t WHERE t.k = n), 1, 0)) FROM UNNEST([1, 2, 2]) AS n",
            json!(2),
        ),
        (
            "SELECT a.n FROM UNNEST([STRUCT(1 AS n)]) AS a JOIN (SELECT 1 AS n) AS b ON a.n = b.n AND EXISTS(SELECT 1)",
            json!(1),
        ),
    ];
    answers(&mut Project::new(), &cases).await;
}

/// A text that holds JSON keeps its numbers' digits; a JSON value takes only numbers that it holds.
#[tokio::test]
async fn numbers_in_json_text_keep_their_digits() {
    let cases = [
        (
            r#"SELECT JSON_VALUE('{"n": 1.50}', '$.n'), JSON_VALUE('{"b": 12345678901234567890123}', '$.b'), JSON_EXTRACT_SCALAR('[100.00]', '$[0]'), JSON_QUERY('{"a": [ 1.50, 2e3, "x\u00e9 y" ]}', '$.a'), JSON_VALUE('7.0')"#,
            json!([["1.50", "12345678901234567890123", "100.00", "[1.50,2e3,\"xé y\"]", "7.0"]]),
        ),
        (
            r#"SELECT JSON_VALUE('{"a": {"b.c": ["x"]}}', '$.a."b.c"[0]'), JSON_VALUE('{"a": null}', '$.a'), JSON_VALUE('{"a": 1', '$.a'), JSON_VALUE('{"a": true}', '$.a')"#,
            json!([["x", null, null, "true"]]),
        ),
        (
            r#"SELECT TO_JSON_STRING(PARSE_JSON('{"a": 1.50, "b": [10.0, -0.1e2, 18446744073709551615]}'))"#,
            json!(r#"{"a":1.5,"b":[10.0,-10.0,18446744073709551615]}"#),
        ),
    ];
    let mut project = Project::new();
    answers(&mut project, &cases).await;
    errors(&mut project, &[("SELECT PARSE_JSON('{\"b\": 12345678901234567890123}')", "more digits")]).await;
}
