//! One case per type: values by hand, values by chance, and SQL that says what the lake should hold.

use std::{fmt::Write, sync::Arc};

use arrow::datatypes::{DataType, Field, TimeUnit};
use naru_lake::NaruType;

/// Types that the cases use and that are not built in.
pub const TYPES: &str = "
    create extension citext;
    create type mood as enum ('so so', 'happy', '한국');
    create domain price as numeric(10,2) check (value > -1000000);
    create domain tags as text[];
    create type pair as (a int, b text);
    create type textrange as range (subtype = text);
    create type timerange as range (subtype = time);
";

#[derive(Clone, Copy, PartialEq)]
pub enum Check {
    /// The same text.
    Text,
    /// The same JSON value.
    Json,
}

#[derive(Clone)]
pub struct Case {
    pub sql_type: &'static str,
    pub literals: Vec<&'static str>,
    /// An SQL expression for a random value; may use `g`.
    pub random: &'static str,
    /// An SQL expression over `c`: the stored value as text.
    pub expected: String,
    pub check: Check,
    pub stored: DataType,
    pub naru_type: Option<NaruType>,
    pub binary: bool,
    number: usize,
}

impl Case {
    pub fn table(&self) -> String {
        format!("t{}", self.number)
    }

    pub fn stored(&self) -> DataType {
        self.stored.clone()
    }

    /// Inserts the values by hand, a NULL, and the random ones.
    pub fn fill(&self, rows: u64) -> String {
        let mut sql = format!("insert into {} values (0, null)", self.table());
        for (index, literal) in self.literals.iter().enumerate() {
            let _ = write!(sql, ", ({}, $v${literal}$v$)", index + 1);
        }
        if !self.random.is_empty() {
            let (table, random) = (self.table(), self.random);
            let _ = write!(sql, "; insert into {table} select 1000 + g, {random} from generate_series(1, {rows}) g");
        }
        sql
    }
}

fn case(sql_type: &'static str, stored: DataType, literals: &[&'static str], random: &'static str) -> Case {
    Case {
        sql_type,
        literals: literals.to_vec(),
        random,
        expected: "c::text".into(),
        check: Check::Text,
        stored,
        naru_type: None,
        binary: true,
        number: 0,
    }
}

/// A type stored as its own text.
fn text(sql_type: &'static str, literals: &[&'static str], random: &'static str) -> Case {
    // `format` calls the output function, where a cast to text may do something else.
    case(sql_type, DataType::Utf8, literals, random).expect("case when c is not null then format('%s', c) end")
}

impl Case {
    fn expect(mut self, sql: &str) -> Self {
        sql.clone_into(&mut self.expected);
        self
    }

    fn naru(mut self, naru_type: NaruType) -> Self {
        self.naru_type = Some(naru_type);
        self
    }

    fn only_text(mut self) -> Self {
        self.binary = false;
        self
    }

    fn json(mut self) -> Self {
        self.check = Check::Json;
        self
    }

    /// A list; `element` is the SQL of one element `x`.
    fn list(mut self, element: &str) -> Self {
        self.stored = DataType::List(Arc::new(Field::new("element", self.stored, true)));
        self.expected = format!(
            "case when c is not null then (select coalesce(json_agg({element}), '[]')::text from unnest(c) x) end"
        );
        self.json()
    }
}

const FLOAT: &str = "encode(float8send(c::float8), 'hex')";
const BIGNUMERIC: &str =
    "case when c::text not in ('NaN', 'Infinity', '-Infinity') then trim_scale(c::numeric)::text end";
const MICROS: &str = "case when isfinite(c) and c >= '0001-01-01' and c < '10000-01-01' \
                      then (extract(epoch from c) * 1000000)::numeric(30,0)::text end";
const DAYS: &str = "case when isfinite(c) and c >= '0001-01-01' and c < '10000-01-01' \
                    then (c - date '1970-01-01')::text end";
const INTERVAL: &str = "case when c is not null then (select \
    case when m < 0 then '-' else '' end || abs(m) / 12 || '-' || abs(m) % 12 || ' ' || d || ' ' || \
    case when u < 0 then '-' else '' end || abs(u) / 3600000000 || ':' || abs(u) / 60000000 % 60 || ':' || \
    abs(u) / 1000000 % 60 || case when abs(u) % 1000000 = 0 then '' \
        when abs(u) % 1000 = 0 then '.' || lpad((abs(u) % 1000000 / 1000)::text, 3, '0') \
        else '.' || lpad((abs(u) % 1000000)::text, 6, '0') end \
    from (select (extract(year from c) * 12 + extract(month from c))::int8 m, extract(day from c)::int8 d, \
        (extract(hour from c) * 3600000000 + extract(minute from c) * 60000000 + extract(microseconds from c))::int8 u) \
    parts) end";
const ANY_TEXT: &str =
    "(select coalesce(string_agg(chr((32 + random() * 2000)::int), ''), '') from generate_series(1, g::int % 20))";

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub fn cases() -> Vec<Case> {
    let mut all = numbers();
    all.extend(texts());
    all.extend(times());
    all.extend(ranges());
    all.extend(lists());
    all.extend(opaque());
    for (number, case) in all.iter_mut().enumerate() {
        case.number = number;
    }
    all
}

fn numbers() -> Vec<Case> {
    let numeric = "((random() * 2 - 1) * 10 ^ (random() * 9))::numeric";
    let wide = "trunc(random()::numeric * 10::numeric ^ (random() * 80)::int, (random() * 40)::int) * sign(random() - 0.5)::int";
    let finite = "nullif(c::text, 'NaN')";
    vec![
        case("bool", DataType::Boolean, &["t", "f"], "random() < 0.5"),
        case("int2", DataType::Int64, &["-32768", "0", "32767"], "((random() * 2 - 1) * 32000)::int2"),
        case("int4", DataType::Int64, &["-2147483648", "2147483647"], "((random() * 2 - 1) * 2e9)::int4"),
        case(
            "int8",
            DataType::Int64,
            &["-9223372036854775808", "9223372036854775807"],
            "((random() * 2 - 1) * 9e18)::int8",
        ),
        case("oid", DataType::Int64, &["0", "4294967295"], "(random() * 4e9)::int8::oid"),
        case(
            "float4",
            DataType::Float64,
            &["0", "-0", "0.1", "1e-45", "3.4028235e38", "NaN", "Infinity", "-Infinity"],
            "((random() - 0.5) * 10 ^ (random() * 60 - 30))::float4",
        )
        .expect(FLOAT),
        case(
            "float8",
            DataType::Float64,
            &["0", "-0", "0.1", "5e-324", "1.7976931348623157e308", "NaN", "Infinity", "-Infinity"],
            "(random() - 0.5) * 10 ^ (random() * 600 - 300)",
        )
        .expect(FLOAT),
        case("numeric(12,2)", DataType::Decimal128(12, 2), &["0", "-0.01", "9999999999.99", "NaN"], numeric)
            .expect(finite),
        case(
            "numeric(38,9)",
            DataType::Decimal128(38, 9),
            &["99999999999999999999999999999.999999999", "-0.000000001", "10000", "100000000"],
            "((random() * 2 - 1) * 10 ^ (random() * 28))::numeric",
        ),
        case(
            "numeric(38,0)",
            DataType::Decimal128(38, 0),
            &["-99999999999999999999999999999999999999"],
            "trunc(random()::numeric * 10::numeric ^ (random() * 37)::int)",
        ),
        case(
            "numeric(38,38)",
            DataType::Decimal128(38, 38),
            &["0.99999999999999999999999999999999999999", "-0.00000000000000000000000000000000000001"],
            "random()::numeric / 7",
        ),
        case("numeric(5,5)", DataType::Decimal128(5, 5), &["0.12345", "-0.00001"], ""),
        case("price", DataType::Decimal128(10, 2), &["12.50"], "((random() * 2 - 1) * 100000)::numeric"),
        case(
            "numeric",
            DataType::Utf8,
            &["0", "0.000", "1.50", "100", "-1e-30", "1e100", "NaN", "Infinity", "-Infinity"],
            wide,
        )
        .expect(BIGNUMERIC)
        .naru(NaruType::Bignumeric),
        case("numeric(50,10)", DataType::Utf8, &["1234567890123456789012345678901234567890.5"], numeric)
            .expect(BIGNUMERIC)
            .naru(NaruType::Bignumeric),
        case("numeric(5,-2)", DataType::Utf8, &["12345", "-1234567"], "").expect(BIGNUMERIC).naru(NaruType::Bignumeric),
        case("numeric(3,5)", DataType::Utf8, &["0.00123"], "").expect(BIGNUMERIC).naru(NaruType::Bignumeric),
    ]
}

fn texts() -> Vec<Case> {
    let bits = "substring(((random() * 2e9)::int)::bit(32), 1, g::int % 32)::varbit";
    vec![
        text("text", &["", "a b", "매출(원)", "\\x00", "{\"", "NULL"], ANY_TEXT),
        text("varchar(40)", &["", "가입자 수"], ANY_TEXT),
        text("char(5)", &["", "ab"], ""),
        text("name", &["pg_class"], ""),
        text("citext", &["MiXed"], ""),
        text("\"char\"", &["", "x"], "chr(33 + g::int % 90)::\"char\""),
        text("mood", &["so so", "한국"], "'happy'::mood").naru(NaruType::Enum),
        text("uuid", &["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], "gen_random_uuid()").naru(NaruType::Uuid),
        text("json", &["{ \"a\" : 1.0 }", "null", "[]"], "").naru(NaruType::Json),
        text("jsonb", &["{ \"b\" : 1.0, \"a\": \"\\u00e9\" }", "null"], "jsonb_build_object('k', random())")
            .naru(NaruType::Json),
        case("bytea", DataType::Binary, &["", "\\x00ff", "abc"], "decode(md5(random()::text), 'hex')")
            .expect("encode(c, 'hex')"),
        text(
            "inet",
            &[
                "192.168.0.1",
                "10.1.2.3/8",
                "::",
                "::1",
                "::1.2.3.4",
                "::ffff:1.2.3.4",
                "2001:db8::1:0:0:1/64",
                "1:2:3:4:5:6:0:8",
            ],
            "set_masklen(inet '0.0.0.0' + (random() * 4294967295)::int8, (random() * 32)::int)",
        ),
        text(
            "cidr",
            &["10.0.0.0/8", "192.168.1.1/32", "2001:db8::/32"],
            "network(set_masklen(inet '::' + (random() * 9e18)::int8, 64 + (random() * 64)::int))",
        ),
        text("macaddr", &["08:00:2b:01:02:03"], ""),
        text("macaddr8", &["08:00:2b:01:02:03:04:05"], ""),
        text("bit(5)", &["10101"], "((random() * 31)::int)::bit(5)"),
        text("varbit", &["", "1", "111111110"], bits),
        text("xid", &["0", "4294967295"], ""),
        text("xid8", &["18446744073709551615"], ""),
        text("pg_lsn", &["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"], ""),
    ]
}

fn times() -> Vec<Case> {
    vec![
        case("date", DataType::Date32, &["2024-02-29", "0001-01-01", "9999-12-31", "10000-01-01", "0044-03-15 BC", "infinity", "-infinity"], "date '2000-01-01' + (random() * 6400000 - 2400000)::int").expect(DAYS),
        case("timestamp", utc(), &["1970-01-01", "1969-12-31 23:59:59.999999", "0001-01-01", "9999-12-31 23:59:59.999999", "infinity", "-infinity", "0001-12-31 23:59:59 BC"], "timestamp '2000-01-01' + (random() * 6400000 - 2400000) * interval '1 day'")
            .expect(MICROS)
            .naru(NaruType::Datetime),
        case("timestamp(0)", utc(), &["2024-01-01 00:00:00.5"], "").expect(MICROS).naru(NaruType::Datetime),
        case("timestamptz", utc(), &["1970-01-01 00:00+00", "2024-01-01 12:00+09", "9999-12-31 23:59:59.999999+00", "10000-01-01 00:00+00", "infinity", "0001-01-01 00:00+00"], "timestamptz '2000-01-01' + (random() * 6400000 - 2400000) * interval '1 day'")
            .expect(MICROS),
        case("time", DataType::Utf8, &["00:00", "23:59:59.999999", "24:00"], "time '00:00' + random() * interval '1 day'")
            .expect("case when c < '24:00' then to_char(c, 'HH24:MI:SS.US') end")
            .naru(NaruType::Time),
        case("timetz", DataType::Utf8, &["00:00+00", "01:02:03.5+09", "23:59:59-15:59", "24:00+05"], "((time '00:00' + random() * interval '23 h')::text || case when random() < 0.5 then '+' else '-' end || (random() * 14)::int || ':30')::timetz")
            .expect("case when extract(hour from c) < 24 then to_char((c at time zone 'UTC')::time, 'HH24:MI:SS.US') end")
            .naru(NaruType::Time),
        case("interval", DataType::Utf8, &["0", "1 year 2 mons 3 days 4:05:06.789", "-1 mon 1 day -1 us", "178000000 years", "-2562047788:00:54.775"], "((random() * 2 - 1) * 1000)::int * interval '1 month' + ((random() * 2 - 1) * 1000)::int * interval '1 day' + (random() * 2 - 1) * interval '1000 h'")
            .expect(INTERVAL)
            .naru(NaruType::Interval),
    ]
}

fn ranges() -> Vec<Case> {
    [
        text("int4range", &["empty", "[1,5)", "(,3]", "(,)"], "int4range(g::int, g::int + (random() * 9)::int)"),
        text("int8range", &["[1,9000000000000)"], ""),
        text(
            "numrange",
            &["[1.50,2.00]", "(,NaN)", "[-Infinity,0)", "(0,1e30]"],
            "numrange(random()::numeric, 1 + random()::numeric)",
        ),
        text(
            "daterange",
            &["[2024-01-01,infinity)", "[0044-01-01 BC,2024-01-01)", "[-infinity,10000-01-01)"],
            "daterange(date '2024-01-01', date '2024-01-01' + (random() * 99)::int)",
        ),
        text(
            "tsrange",
            &["[2024-01-01 00:00:00.5,infinity)", "[0044-01-01 10:00 BC,)"],
            "tsrange(timestamp '2024-01-01' - random() * interval '9000 y' / 10, null)",
        ),
        text(
            "tstzrange",
            &["[2024-01-01 00:00+09,2024-01-02 00:00+09]"],
            "tstzrange('2024-01-01', '2024-01-01'::timestamptz + random() * interval '9 days')",
        ),
        text("textrange", &["[a,b)", "[\"\",z)", r#"["a\"b","c,d"]"#, r#"["(x)",z\\b]"#], ""),
        text("timerange", &["[01:00,02:00)"], "").only_text(),
        text("int4multirange", &["{}", "{[1,3),[5,7)}"], ""),
        text("datemultirange", &["{[2024-01-01,2024-02-01),[2025-01-01,)}"], ""),
        text("nummultirange", &["{[1.50,2),(3,)}"], ""),
    ]
    .map(|case| case.naru(NaruType::Range))
    .to_vec()
}

fn lists() -> Vec<Case> {
    let strings = "array(select chr(32 + (random() * 100)::int) || chr(92) || chr(34) || e'{,}' from generate_series(1, g::int % 5))";
    vec![
        case(
            "int4[]",
            DataType::Int64,
            &["{}", "{1,NULL,-3}", "[5:6]={7,8}"],
            "array(select (random() * 100)::int from generate_series(1, g::int % 5))",
        )
        .list("x::text"),
        case("text[]", DataType::Utf8, &["{}", r#"{a,"b c",NULL,"NULL","x\"y\\z",""," "}"#], strings).list("x"),
        case("tags", DataType::Utf8, &["{a,b}"], "").list("x"),
        case("bool[]", DataType::Boolean, &["{t,f,NULL}"], "").list("x::text"),
        case("float8[]", DataType::Float64, &["{0.1,NaN}"], "").list("encode(float8send(x), 'hex')"),
        case("numeric(10,2)[]", DataType::Decimal128(10, 2), &["{1.5,NULL,NaN}"], "").list("nullif(x::text, 'NaN')"),
        case("price[]", DataType::Decimal128(10, 2), &["{1.5,2}"], "").list("x::text"),
        case("date[]", DataType::Date32, &["{2024-01-01,infinity,NULL}"], "")
            .list("case when isfinite(x) then (x - date '1970-01-01')::text end"),
        case("timestamptz[]", utc(), &["{\"2024-01-01 00:00+09\"}"], "")
            .list("(extract(epoch from x) * 1000000)::numeric(30,0)::text"),
        case("bytea[]", DataType::Binary, &[r#"{"\\x00ff","\\x"}"#], "").list("encode(x, 'hex')"),
        case("uuid[]", DataType::Utf8, &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"], "array[gen_random_uuid()]")
            .list("x::text")
            .naru(NaruType::Uuid),
        case("jsonb[]", DataType::Utf8, &[r#"{"{\"a\": [1]}",NULL}"#], "").list("x::text").naru(NaruType::Json),
        case("mood[]", DataType::Utf8, &["{happy,\"so so\"}"], "").list("x::text").naru(NaruType::Enum),
        case("int4range[]", DataType::Utf8, &[r#"{"[1,3)",empty}"#], "").list("x::text").naru(NaruType::Range),
        case("box[]", DataType::Utf8, &["{(1,2),(0,0);(3,4),(1,1)}"], "").list("x::text").only_text(),
        case("pair[]", DataType::Utf8, &[r#"{"(1,\"a b\")"}"#], "").list("x::text").only_text(),
        case(
            "int4[][]",
            DataType::Utf8,
            &["{}", "{1,2}", "{{1,2},{3,NULL}}", "{{{1},{2}},{{3},{4}}}", "[0:0][2:3]={{1,2}}"],
            "",
        )
        .expect("to_json(c)::text")
        .json()
        .naru(NaruType::Json),
        case("text[][]", DataType::Utf8, &[r#"{{a,"b\"c"},{"",NULL}}"#], "")
            .expect("to_json(c)::text")
            .json()
            .naru(NaruType::Json),
        case("float8[][]", DataType::Utf8, &["{{0.1,NaN},{1e300,-5}}"], "")
            .expect("to_json(c)::text")
            .json()
            .naru(NaruType::Json),
        case("jsonb[][]", DataType::Utf8, &[r#"{{"{\"a\": 1}","[\"[\"]"},{null,"\"[\""}}"#], "")
            .expect("to_json(c)::text")
            .json()
            .naru(NaruType::Json),
        case("numeric(9,3)[][]", DataType::Utf8, &["{{1.500,-2},{0,100}}"], "")
            .expect("to_json(c)::text")
            .json()
            .naru(NaruType::Json),
        case("date[][]", DataType::Utf8, &["{{2024-01-01},{1999-12-31}}"], "")
            .expect("to_json(c)::text")
            .json()
            .naru(NaruType::Json),
        case("timestamp[][]", DataType::Utf8, &["{{\"2024-01-01 10:00:00.5\"}}"], "")
            .expect("to_json(c)::text")
            .json()
            .naru(NaruType::Json),
    ]
}

/// Types whose text is stored as it is.
fn opaque() -> Vec<Case> {
    [
        text("money", &["12.50", "-1"], "(random() * 1000)::numeric::money"),
        text("xml", &["<a b=\"c\">d</a>"], ""),
        text("point", &["(1.5,-2)"], "point(random(), random())"),
        text("line", &["{1,2,3}"], ""),
        text("lseg", &["[(0,0),(1,1)]"], ""),
        text("box", &["(1,1),(0,0)"], ""),
        text("path", &["((0,0),(1,1))"], ""),
        text("polygon", &["((0,0),(1,1),(1,0))"], ""),
        text("circle", &["<(0,0),1>"], ""),
        text("tsvector", &["a fat cat"], ""),
        text("tsquery", &["fat & cat"], ""),
        text("txid_snapshot", &["10:20:10,14"], ""),
        text("regclass", &["pg_class"], ""),
        text("pair", &["(1,\"a b\")"], ""),
        text("int2vector", &["1 2 3"], ""),
    ]
    .map(Case::only_text)
    .to_vec()
}
