//! What is not GoogleSQL, or not built, is an error with a place; nothing is parsed and then ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use naru_googlesql::{Params, SqlType, StatementKind, kind, parse, parse_with_postgres_casts, tables, writes};
use support::Project;

/// One statement for each part of the syntax tree that must not be ignored.
const REFUSED: &[&str] = &[
    "SELECT * FROM t TABLESAMPLE SYSTEM (10 PERCENT)",
    "SELECT a FROM t LIMIT 1 BY a",
    "SELECT a FROM t LIMIT 1, 2",
    "SELECT a FROM t OFFSET 1",
    "SELECT TOP 1 a FROM t",
    "SELECT a FROM t FETCH FIRST 1 ROWS ONLY",
    "SELECT a FROM t LATERAL VIEW EXPLODE(arr) x AS y",
    "SELECT a INTO x FROM t",
    "SELECT a FROM t PREWHERE a = 1",
    "SELECT a FROM t SORT BY a",
    "SELECT a FROM t CLUSTER BY a",
    "SELECT a FROM t DISTRIBUTE BY a",
    "SELECT a FROM t USE INDEX (i)",
    "SELECT a FROM t WITH (NOLOCK)",
    "SELECT a FROM t FOR UPDATE",
    "SELECT a FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01 00:00:00Z'",
    "SELECT a FROM t SEMI JOIN u ON t.a = u.a",
    "SELECT a FROM t LEFT ANTI JOIN u ON t.a = u.a",
    "SELECT t.a FROM t ASOF JOIN u MATCH_CONDITION (t.a >= u.a) ON t.a = u.a",
    "SELECT t.a FROM t NATURAL JOIN u",
    "SELECT t.a FROM t JOIN u",
    "SELECT a FROM t WHERE a == 1",
    "SELECT a::STRING FROM t",
    "SELECT a FROM t WHERE b ILIKE 'x'",
    "SELECT DISTINCT ON (a) a, b FROM t",
    "VALUES (1, 2)",
    "SELECT a FROM t WHERE b LIKE 'x' ESCAPE '!'",
    "SELECT a FROM t WHERE b SIMILAR TO 'x'",
    "SELECT TRY_CAST(a AS STRING) FROM t",
    "SELECT a % 2 FROM t",
    "SELECT a <=> 1 FROM t",
    "SELECT a FROM t UNION SELECT a FROM u",
    "SELECT a FROM t INTERSECT ALL SELECT a FROM u",
    "SELECT a FROM t UNION ALL BY NAME SELECT a FROM u",
    "SELECT arr[0] FROM t",
    "SELECT arr[1:2] FROM t",
    "SELECT COUNT(*) FILTER (WHERE a > 1) FROM t",
    "SELECT ARRAY_AGG(a) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT FIRST_VALUE(a) IGNORE NULLS OVER (ORDER BY a) FROM t",
    "SELECT SUM(a) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
    "SELECT to_timestamp('2024-01-01')",
    "SELECT arrow_typeof(a) FROM t",
    "SELECT date_part('year', DATE '2024-01-01')",
    "SELECT date_bin(INTERVAL 1 DAY, TIMESTAMP '2024-01-01 00:00:00Z')",
    "SELECT SUBSTRING('abc' FROM 2)",
    "SELECT POSITION('a' IN 'abc')",
    "SELECT TRIM(BOTH 'a' FROM 'abc')",
    "SELECT OVERLAY('abc' PLACING 'x' FROM 1)",
    "SELECT TIMESTAMP '2024-01-01 00:00:00Z' AT TIME ZONE 'Asia/Seoul'",
    "SELECT a FROM t WHERE a = ANY(SELECT a FROM u)",
    "SELECT '1' + 1",
    "SELECT a = b FROM t",
    "SELECT a || b FROM t",
    "SELECT IF(1, 2, 3)",
    "SELECT CAST(a AS VARCHAR) FROM t",
    "SELECT CAST(a AS STRING(0)) FROM t",
    "SELECT CAST(a AS NUMERIC(40, 2)) FROM t",
    "SELECT CAST(a AS NUMERIC(10, 12)) FROM t",
    "SELECT CAST([a] AS ARRAY<STRING(5)>) FROM t",
    "SELECT * FROM t PIVOT(SUM(a), COUNT(*) FOR b IN ('x'))",
    "SELECT * FROM t PIVOT(a FOR b IN ('x'))",
    "SELECT * FROM t PIVOT(SUM(a) FOR b IN (UPPER('x')))",
    "SELECT * FROM t PIVOT(SUM(a) FOR b IN (SELECT b FROM t))",
    "SELECT * FROM t PIVOT(SUM(a) FOR b IN (1))",
    "SELECT CAST(DATE '2024-01-01' AS STRING FORMAT 'YYYY')",
    "SELECT 1 = 1 = 1",
    "SELECT 'a' 'b'",
    "SELECT 'it''s'",
    "SELECT 'bad \\d escape'",
    "SELECT a, SUM(a) FROM t",
    "SELECT SUM(SUM(a)) FROM t",
    "SELECT a FROM t WHERE SUM(a) > 1",
    "SELECT a FROM t WHERE ROW_NUMBER() OVER () = 1",
    "SELECT x FROM t",
    "SELECT a FROM t, u",
    "SELECT * FROM missing",
    "SELECT t.a FROM t AS t (x, y, z)",
    "WITH w (x) AS (SELECT 1) SELECT x FROM w",
    "SELECT a FROM t GROUP BY a WITH ROLLUP",
    "SELECT a FROM t ORDER BY ALL",
    "SELECT * EXCLUDE (a) FROM t",
    "SELECT * RENAME (a AS x) FROM t",
    "SELECT * EXCEPT (nope) FROM t",
    "SELECT a FROM t ORDER BY arr",
    "SELECT DISTINCT arr FROM t",
    "SELECT arr FROM t GROUP BY arr",
    "SELECT MAX(arr) FROM t",
    "SELECT JSON '{}' = JSON '{}'",
    "SELECT (SELECT MAX(u.a) FROM u WHERE u.a < t.a LIMIT 1) FROM t",
    "SELECT a FROM t LIMIT -1",
    "SELECT ~1 * 2",
    "SELECT x -> 1 FROM t",
    "EXPLAIN SELECT 1",
    "COPY t TO 'x'",
    "SELECT * FROM read_csv('x')",
];

#[tokio::test]
async fn nothing_is_parsed_and_then_ignored() {
    let mut project = Project::new();
    project
        .run("CREATE TABLE t (a INT64, b STRING, arr ARRAY<INT64>); CREATE TABLE u (a INT64)", &Params::default())
        .await
        .unwrap();
    let mut accepted = Vec::new();
    for sql in REFUSED {
        match project.run(sql, &Params::default()).await {
            Err(_) => {}
            Ok(rows) => accepted.push(format!("{sql} gave {rows:?}")),
        }
    }
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
}

#[tokio::test]
async fn errors_say_where_and_what_to_write() {
    let project = Project::new();
    for (sql, line, column, hint) in [
        ("SELECT\n  nope FROM UNNEST([1]) AS x", 2, 3, ""),
        ("SELECT 1,\n  ARRAY_LENGHT([1])", 2, 3, "ARRAY_LENGTH"),
        ("SELECT 1 UNION SELECT 2", 1, 16, "UNION DISTINCT"),
        ("SELECT x.a FROM UNNEST([STRUCT(1 AS b)]) AS x", 1, 8, ""),
        ("SELECT x FROM UNNEST([1]) AS x WHERE x = ANY([1])", 1, 38, "IN UNNEST"),
        (
            "SELECT x,\n  y.b, COUNT(*) FROM UNNEST([STRUCT(1 AS b)]) AS y, UNNEST([1]) AS x GROUP BY x",
            2,
            3,
            "ANY_VALUE(y)",
        ),
        ("SELECT a, SUM(a) FROM (SELECT 1 AS a)", 1, 8, "add a to GROUP BY"),
        ("SELECT COUNT(*) FROM (SELECT 1 AS a, 2 AS b) GROUP BY a ORDER BY b", 1, 66, "GROUP BY"),
        ("SELECT COUNT(*) FROM (SELECT 1 AS a, 2 AS b) GROUP BY a HAVING b > 1", 1, 64, "GROUP BY"),
        ("SELECT IF(TRUE, 'a', 1)", 1, 8, "CAST(... AS INT64)"),
        ("SELECT 1 AS n UNION ALL SELECT 'a'", 1, 25, "CAST"),
        ("SELECT now()", 1, 8, "CURRENT_TIMESTAMP()"),
        ("SELECT 1, nvl(1, 2)", 1, 11, "IFNULL"),
        ("SELECT to_char(1, 'x')", 1, 8, "FORMAT_TIMESTAMP"),
        ("SELECT date_trunc('month', CURRENT_DATE())", 1, 8, "DATE_TRUNC(CURRENT_DATE(), MONTH)"),
        ("SELECT DATE_DIFF(day, CURRENT_DATE(), CURRENT_DATE())", 1, 8, "DAY) (later first)"),
        ("SELECT 1 AS at", 1, 13, "`at`"),
        ("SELECT 1 AS '합계'", 1, 8, "`합계`"),
        ("SELECT CONCAT('a', 1)", 1, 8, "CAST(x AS STRING)"),
    ] {
        let parsed = &parse(sql).unwrap()[0];
        let error = project.sql.plan(&project.context.state(), parsed, &Params::default()).await.unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{sql}: {error}");
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{sql}: {error}");
    }
    let error = parse("SELECT 1 AS `이름`,\n  2 AS 매출2_합 FROM t").unwrap_err();
    assert_eq!((error.line, error.column), (2, 8));
    assert!(error.hint.unwrap().contains("`매출2_합`"));
    let error = parse("SELECT 1;\nSELEC 2").unwrap_err();
    assert_eq!((error.line, error.column), (2, 1));
    for (sql, message, hint) in [
        ("SELECT 1 AS a LIMIT 5, 10", "expected the end", "OFFSET"),
        ("SELECT CURRENT_TIMESTAMP() - INTERVAL '7 days'", "INTERVAL requires a unit", "INTERVAL 7 DAY"),
        ("SELECT a FROM t GROUP a", "expected the end", "GROUP BY"),
    ] {
        let error = parse(sql).unwrap_err();
        assert!(error.message.starts_with(message) && error.hint.clone().unwrap_or_default().contains(hint), "{error}");
    }
    let parsed = &parse("SELECT 1, 'x' AS name UNION ALL SELECT 2, 3").unwrap()[0];
    let error = project.sql.plan(&project.context.state(), parsed, &Params::default()).await.unwrap_err();
    assert_eq!(error.message, "column 2 (\"name\") of UNION: STRING and INT64 have no type in common");
}

#[test]
fn statements_are_split_with_their_text_and_kind() {
    let sql = "-- first\nSELECT 1; # second\nCREATE OR REPLACE TABLE ds.x AS SELECT ';' AS a;\n\n";
    let parsed = parse(sql).unwrap();
    assert_eq!(parsed.len(), 2);
    assert_eq!((parsed[0].text.as_str(), parsed[0].line), ("SELECT 1", 2));
    assert_eq!(parsed[1].text, "CREATE OR REPLACE TABLE ds.x AS SELECT ';' AS a");
    assert_eq!(kind(&parsed[1]), StatementKind::CreateTable);
    assert_eq!(writes(&parsed[1])[0].parts, ["ds", "x"]);
    assert!(parse("  -- nothing\n").unwrap().is_empty());
}

#[test]
fn any_expression_may_follow_a_comma() {
    for item in [
        "CASE WHEN a IS NULL THEN 1 ELSE 2 END AS s",
        "IF(a, 1, 2)",
        "NOT b",
        "EXISTS(SELECT 1)",
        "ARRAY[1]",
        "ARRAY<INT64>[1]",
        "[1]",
        "INTERVAL 1 DAY",
        "CAST(a AS STRING)",
        "SAFE_CAST(a AS INT64)",
        "NULL",
        "TRUE",
        "LEFT(a, 1)",
        "RIGHT(a, 1)",
        "STRUCT(1 AS x)",
        "DATE '2024-01-01'",
        "EXTRACT(DAY FROM a)",
        "SAFE.LEFT(a, 1)",
        "(SELECT 1)",
        "-a",
        "~a",
        "@p",
        "?",
        "UNIX_DATE(a)",
        "REPLACE(a, 'x', 'y')",
        "FORMAT('%d', a)",
        "RANK() OVER (ORDER BY a)",
        "date",
        "value AS offset",
        "GROUPING(a)",
        "ANY_VALUE(a)",
        "TIMESTAMP(a)",
        "CURRENT_DATE()",
        "CURRENT_DATE",
        "ROW_NUMBER() OVER w",
        "`from`",
    ] {
        for sql in [format!("SELECT a, {item} FROM t"), format!("SELECT a, {item}, FROM t"), format!("SELECT {item}")] {
            parse(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
    assert_eq!(parse("SELECT a, b, FROM t WHERE x GROUP BY a").unwrap().len(), 1);
}

#[test]
fn tables_read_leave_out_ctes_aliases_and_paths() {
    let names = |sql: &str| -> Vec<String> {
        tables(&parse(sql).unwrap()[0]).into_iter().map(|table| table.parts.join(".")).collect()
    };
    assert_eq!(
        names("WITH a AS (SELECT * FROM ds.x), b AS (SELECT * FROM a) SELECT * FROM b JOIN ds.y USING (k)"),
        ["ds.x", "ds.y"]
    );
    assert_eq!(names("WITH orders AS (SELECT * FROM orders) SELECT * FROM orders"), ["orders"]);
    assert_eq!(
        names("SELECT * FROM `p.ds.t` AS t, t.items, UNNEST(t.more) WHERE EXISTS (SELECT 1 FROM my-proj.ds.u)"),
        ["p.ds.t", "my-proj.ds.u"]
    );
    assert_eq!(
        names(
            "SELECT (SELECT MAX(a) FROM x), a IN (SELECT b FROM y) FROM z UNION ALL SELECT 1, 2 FROM (SELECT * FROM w)"
        ),
        ["x", "y", "z", "w"]
    );
    assert_eq!(names("WITH RECURSIVE n AS (SELECT 1 UNION ALL SELECT 2 FROM n) SELECT * FROM n"), Vec::<String>::new());
    let table = &tables(&parse("SELECT *\nFROM ds.t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01'").unwrap()[0])[0];
    assert_eq!((table.line, table.column), (2, 6));
    assert_eq!(table.as_of.as_deref(), Some("TIMESTAMP '2024-01-01'"));
}

/// PostgreSQL's cast is taken where CAST gives the same value, and refused with the form that says what is meant.
#[tokio::test]
async fn postgresqls_cast_is_taken_only_where_it_means_the_same() {
    let project = Project::new();
    let plan = async |sql: &str| {
        let parsed = parse_with_postgres_casts(sql)?;
        project.sql.plan(&project.context.state(), &parsed[0], &Params::default()).await
    };
    for same in [
        "'2024-02-29'::date",
        "'5'::int + 1",
        "(1 + 2)::text",
        "TRUE::text",
        "NUMERIC '2.5'::bigint",
        "1::numeric",
        "1::double precision",
        "DATE '2024-01-01'::timestamp",
        "'2024-01-01 00:00:00+09'::timestamptz::date",
        "NULL::character varying",
        "'true'::bool",
        "1::numeric(10, 2)",
        "1.005::numeric(10, 2)",
        "'12.345'::decimal(10, 1)",
        "'1.5'::numeric(40, 20)",
        "'abc'::varchar(3)",
        "12::character varying(2)",
    ] {
        let said = plan(&format!("SELECT {same} AS x")).await;
        assert!(said.is_ok(), "{same}: {said:?}");
    }
    for (other, hint) in [
        ("2.5::int", "halves away from zero"),
        ("2.0::text", "CAST(x AS STRING)"),
        ("'1.23456789012'::numeric", "9 digits"),
        ("CAST(1 AS FLOAT64)::numeric(10, 2)", "ROUND"),
        ("'1'::numeric(90, 60)", "BIGNUMERIC"),
        ("'a'::char(5)", "LEFT"),
        ("'{}'::jsonb", "PARSE_JSON"),
        ("'1 day'::interval", "INTERVAL 1 DAY"),
        ("CURRENT_TIMESTAMP()::text", "CAST(x AS STRING)"),
        ("'x'::bytea", "FROM_HEX"),
    ] {
        let error = plan(&format!("SELECT {other} AS x")).await.unwrap_err();
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{other}: {error:?}");
    }
    assert!(parse("SELECT 1::int AS x").is_err());
}

/// A parameter without a value takes the type that its place asks for, so that a client sends what is meant.
#[tokio::test]
async fn a_parameter_takes_the_type_of_its_place() {
    let mut project = Project::new();
    let table =
        "CREATE TABLE t (a INT64, f FLOAT64, n NUMERIC, s STRING, d DATE, at TIMESTAMP, b BOOL, arr ARRAY<DATE>)";
    project.run(table, &Params::default()).await.unwrap();
    for (sql, wanted) in [
        (
            "SELECT 1 FROM t WHERE f = $1 AND n > $2 AND a = $3",
            vec![Some(SqlType::Float64), Some(SqlType::Numeric), Some(SqlType::Int64)],
        ),
        ("SELECT 1 FROM t WHERE d BETWEEN $1 AND $2", vec![Some(SqlType::Date), Some(SqlType::Date)]),
        ("SELECT 1 FROM t WHERE s IN ($1, 'x') OR $2", vec![Some(SqlType::String), Some(SqlType::Bool)]),
        ("SELECT 1 FROM t WHERE at >= $1", vec![Some(SqlType::Timestamp)]),
        ("SELECT 1 FROM t WHERE a IN UNNEST($1)", vec![Some(SqlType::Array(Box::new(SqlType::Int64)))]),
        ("SELECT CAST($1 AS NUMERIC), UPPER($2), $3 FROM t", vec![Some(SqlType::Numeric), Some(SqlType::String), None]),
        ("SELECT IF($1, 'a', TRUE) FROM t", Vec::new()),
    ] {
        let parsed = &parse(sql).unwrap()[0];
        let given = vec![None; wanted.len()];
        let types = project.sql.parameter_types(&project.context.state(), parsed, &given).await;
        if wanted.is_empty() {
            assert!(types.is_err(), "{sql}: {types:?}");
            continue;
        }
        assert_eq!(types.unwrap(), wanted, "{sql}");
    }
}
