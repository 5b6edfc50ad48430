// GoogleSQL for the editor: its words, quotes and comments, for colours and for completion without a server.

import { SQLDialect } from "@codemirror/lang-sql";

const KEYWORDS = `all and any array as asc assert_rows_modified at between by case cast collate contains create cross cube
current default define desc distinct else end enum escape except exclude exists extract false fetch following for from
full group grouping groups hash having if ignore in inner intersect interval into is join lateral left like limit lookup
merge natural new no not null nulls of on or order outer over partition preceding proto qualify range recursive respect
right rollup rows select set some struct tablesample then to treat true unbounded union unnest using when where window
with within add alter begin call cluster column columns commit constraint copy database declare delete describe do drop
elseif exception execute explain export external first function grant immediate information_schema insert
key last load loop materialized matched next offset option options ordinal partitions pivot primary procedure
raise references rename repeat replace return returns revoke rollback row safe_cast schema sets show snapshot source
start system system_time table target temp temporary time_zone transaction truncate unpivot until update
value values view while zone`;

const TYPES = `int64 int integer bigint smallint tinyint byteint float64 float32 numeric decimal bignumeric bigdecimal bool
boolean string bytes date time datetime timestamp interval json geography range`;

const FUNCTIONS = `abs any_value approx_count_distinct approx_quantiles approx_top_count array_agg array_concat
array_concat_agg array_length array_reverse array_to_string avg bit_and bit_or bit_xor byte_length ceil char_length coalesce
concat concat_ws corr count countif covar_pop covar_samp cume_dist current_date current_datetime current_time current_timestamp
date_add date_diff date_sub date_trunc datetime_add datetime_diff datetime_sub datetime_trunc dense_rank div ends_with
exp farm_fingerprint first_value floor format format_date format_datetime format_timestamp from_base64 generate_array
generate_date_array generate_timestamp_array generate_uuid greatest ieee_divide ifnull initcap instr is_inf is_nan json_extract
json_extract_scalar json_query json_query_array json_value json_value_array lag last_day last_value lead least left length
ln log log10 logical_and logical_or lower lpad ltrim max max_by md5 min min_by mod normalize normalize_and_casefold
nth_value ntile nullif parse_date parse_datetime parse_json parse_numeric parse_timestamp percent_rank percentile_cont
percentile_disc pow rand rank regexp_contains regexp_extract regexp_extract_all regexp_instr regexp_replace reverse
round row_number rpad rtrim safe_add safe_divide safe_multiply safe_negate safe_subtract session_user sha1 sha256
sha512 sign split sqrt starts_with stddev stddev_pop stddev_samp string_agg strpos substr substring sum timestamp_add
timestamp_diff timestamp_micros timestamp_millis timestamp_seconds timestamp_sub timestamp_trunc to_base64 to_hex
to_json to_json_string translate trim trunc unix_date unix_micros unix_millis unix_seconds upper var_pop var_samp variance`;

const oneLine = (text: string) => text.replace(/\s+/g, " ");

export const googleSql = SQLDialect.define({
  keywords: oneLine(KEYWORDS),
  types: oneLine(TYPES),
  builtin: oneLine(FUNCTIONS),
  backslashEscapes: true,
  hashComments: true,
  slashComments: false,
  doubleQuotedStrings: true,
  identifierQuotes: "`",
  specialVar: "@",
  operatorChars: "*+-%<>!=&|~^/",
  caseInsensitiveIdentifiers: true,
  unquotedBitLiterals: false,
});

const words = (text: string) => text.split(/\s+/).map((word) => word.toUpperCase());

/** Words that are offered when the server does not answer. */
export const WORDS: { label: string; kind: string }[] = [
  ...words(KEYWORDS).map((label) => ({ label, kind: "keyword" })),
  ...words(TYPES).map((label) => ({ label, kind: "type" })),
  ...words(FUNCTIONS).map((label) => ({ label, kind: "function" })),
];
